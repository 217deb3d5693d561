"""Address counter of a stream transfer: the words of a tensor, strip by strip."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, Value

from rtl_gen.blocks.hierarchy import Block


class WordWalk:
    """Registers of a stream transfer, made in its module: strip, word address, beat in the word.

    ports: the transfer, whose fields are sampled while ``resting``, which it must drive, and held
    from the start on. ``enter_strip`` and ``next_word`` move on by words; the transfer counts
    ``beat`` and sets ``last_beat`` (the beat is its word's last). ``last_in_strip``, ``last_strip``
    and ``last_word`` say that the current word is the last of its strip, lies in the last strip,
    and both.
    """

    def __init__(self, m: Module, ports: Block) -> None:
        self.resting = Signal()

        def held(value: Value, name: str) -> Signal:
            register = Signal(value.shape(), name=name, reset_less=True)
            with m.If(self.resting):
                m.d.sync += register.eq(value)
            return register

        self.base = held(ports.f_base, "base")
        self.strip_words = held(ports.f_strip_words, "strip_words")
        self.last_strip_index = held(ports.f_last_strip, "last_strip_index")
        self.last_words = held(ports.f_last_words, "last_words")
        self.beats = held(ports.f_beats, "beats")
        self.chunks = held(ports.f_chunks, "chunks")
        self.single_full = held(ports.f_strip_words == 1, "single_full")
        self.single_last = held(ports.f_last_words == 1, "single_last")

        self.strip = Signal(4, reset_less=True)
        # EMIT counts results with it, which may exceed the words of a bank.
        pointer_bits = max(len(ports.read_pointer), len(ports.result_address))
        self.pointer = Signal(pointer_bits, reset_less=True)
        self.words_left = Signal(len(ports.read_pointer), reset_less=True)
        self.beat = Signal(5, reset_less=True)
        # Flags of the next beat or word, compared when the counters move (critical path).
        self.last_beat = Signal(reset_less=True)
        self.last_strip = Signal(reset_less=True)
        self.last_in_strip = Signal(reset_less=True)
        self.last_word = Signal()
        m.d.comb += self.last_word.eq(self.last_strip & self.last_in_strip)

    def enter_strip(self, m: Module, strip: Value) -> None:
        """Move to the first word of strip ``strip``, which is current from the next cycle on.

        Base and words are those held in this cycle: while resting, the fields one cycle before.
        """
        full = self.last_strip_index != strip
        m.d.sync += [
            self.strip.eq(strip),
            self.pointer.eq(self.base),
            self.words_left.eq(Mux(full, self.strip_words, self.last_words)),
            self.last_strip.eq(~full),
            self.last_in_strip.eq(Mux(full, self.single_full, self.single_last)),
        ]

    def next_word(self, m: Module) -> None:
        """Move to the next word, which is current from the next cycle on.

        It is the first of the next strip after the last one of this, even of the last strip.
        """
        with m.If(self.last_in_strip):
            self.enter_strip(m, (self.strip + 1)[:4])
        with m.Else():
            m.d.sync += [
                self.pointer.eq(self.pointer + 1),
                self.words_left.eq(self.words_left - 1),
                self.last_in_strip.eq(self.words_left == 2),
            ]
