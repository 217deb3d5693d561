"""Recurrent controller that is taught by REINFORCE: it writes candidates gene by gene."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from codesign.search.pareto import Floats, Ints
from codesign.search.strategies.interface import Genes
from codesign.search.strategies.results import Results

HIDDEN = 35
"""Units of each of the two layers of the LSTM, and of its inputs."""
ROLLOUTS = 5
"""Rewards that a step of the optimiser is made of."""
FADING = 2 / 20
"""Weight of the newest rewards in the moving baseline; the first 20 have a plain mean."""
LEARNING_RATE = 0.005
SHARPNESS = 10.0
"""Fall of the reward with the distance from the best, in spans of the objectives seen."""


class Controller:
    """Two-layer LSTM with a softmax for each gene, rewarded by accuracy within limits (REINFORCE).

    Each gene is drawn from the softmax of the LSTM's output, whose next input is an embedding of
    the value drawn. The loss of ROLLOUTS candidates is -sum log p (R - b), with the baseline b a
    moving average of rewards. The reward of a candidate that breaks a limit is 0.

    Adapted to several objectives: in place of a random first token the LSTM reads a preference,
    weights of the objectives that are drawn anew for each candidate, so that one controller
    serves the whole front. The reward within the limits is exp(-SHARPNESS d), where d is the
    augmented Chebyshev distance, by those weights, from the best of each objective, in spans of
    what was seen: 1 at the best. A candidate that is known is rewarded again from memory, as a
    controller that settles must hear of it, and asked for only where no other was drawn. Results of
    other origin only widen the spans: REINFORCE learns from its own candidates.

    Source: Lu, Jiang, Xu, Shi, Hu, "On Neural Architecture Search for Resource-Constrained Hardware
    Platforms", ICCAD 2019.

    >>> Controller(Genes(np.array([4, 2, 7])), seed=0).ask(5).shape
    (5, 3)
    """

    def __init__(self, genes: Genes, seed: int) -> None:
        self._seed = seed
        self._random = np.random.default_rng(seed)
        self._known = Results(genes.sizes)
        self._policy: _Policy | None = None
        self._waiting: dict[bytes, Floats] = {}
        """Candidates asked for and not told yet, with the weights that they were drawn for."""
        self._lessons: list[tuple[Ints, Floats, float]] = []
        """Candidates, weights and rewards for the next step."""
        self._baseline, self._rewarded = 0.0, 0

    def ask(self, count: int) -> Ints:
        if self._policy is None:  # how many objectives there are is not known
            return self._known.unknown(self._known.candidates[:0], count, self._random)
        weights = self._random.dirichlet(np.ones(self._policy.objectives), 2 * count)
        drawn = self._policy.draw(weights, self._random)
        told = self._known.known(drawn)
        for row in np.flatnonzero(told):
            place = self._known.row(drawn[row])
            self._learn(drawn[row], weights[row], self._reward(place, weights[row]))
        self._waiting = {
            row.tobytes(): weight for row, weight in zip(drawn[~told], weights[~told], strict=True)
        }
        return self._known.unknown(drawn[~told], count, self._random)

    def tell(self, candidates: Ints, objectives: Floats, violation: Floats) -> None:
        self._known.add(candidates, objectives, violation)
        if self._policy is None:
            self._policy = _Policy(self._known.sizes, objectives.shape[1], self._seed)
        for candidate in np.ascontiguousarray(candidates):
            weights = self._waiting.pop(candidate.tobytes(), None)
            if weights is not None:
                reward = self._reward(self._known.row(candidate), weights)
                self._learn(candidate, weights, reward)

    def _reward(self, place: int, weights: Floats) -> float:
        """Return the reward 0..1 of the candidate in a row of the results, by weights (m,)."""
        known = self._known
        if known.violation[place] > 0:
            return 0.0
        seen = known.objectives[known.violation <= 0]
        best, span = seen.min(axis=0), np.ptp(seen, axis=0)
        gaps = weights * (known.objectives[place] - best) / np.where(span > 0, span, 1.0)
        return float(np.exp(-SHARPNESS * (gaps.max() + 0.05 * gaps.sum())))

    def _learn(self, candidate: Ints, weights: Floats, reward: float) -> None:
        """Keep a reward, and make a step once there are ROLLOUTS."""
        assert self._policy is not None
        self._lessons.append((candidate, weights, reward))
        if len(self._lessons) < ROLLOUTS:
            return
        told, given, rewards = map(np.array, zip(*self._lessons, strict=True))
        self._lessons = []
        self._rewarded += len(rewards)
        fading = max(FADING, len(rewards) / self._rewarded)
        self._baseline += fading * (float(rewards.mean()) - self._baseline)
        self._policy.step(told, given, rewards - self._baseline)


class _Policy(nn.Module):
    """The LSTM with the embeddings and softmaxes of the genes, and its optimiser."""

    def __init__(self, sizes: Ints, objectives: int, seed: int) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            super().__init__()
            self.objectives = objectives
            self._first = nn.Linear(objectives, HIDDEN)
            self._lstm = nn.LSTM(HIDDEN, HIDDEN, num_layers=2, batch_first=True)
            self._values = nn.ModuleList(nn.Embedding(int(size), HIDDEN) for size in sizes)
            self._softmaxes = nn.ModuleList(nn.Linear(HIDDEN, int(size)) for size in sizes)
        self._optimiser = torch.optim.Adam(self.parameters(), lr=LEARNING_RATE)

    @torch.no_grad()
    def draw(self, weights: Floats, random: np.random.Generator) -> Ints:
        """Return candidates drawn for preferences of shape (n, objectives), shape (n, genes)."""
        found = np.zeros((len(weights), len(self._values)), dtype=np.int64)
        token = self._first(torch.from_numpy(weights).float())[:, None]
        state = None
        for gene, (embedding, softmax) in enumerate(
            zip(self._values, self._softmaxes, strict=True)
        ):
            output, state = self._lstm(token, state)
            chances = torch.softmax(softmax(output[:, 0]), dim=1).double().numpy().cumsum(axis=1)
            drawn = random.random((len(weights), 1)) * chances[:, -1:]
            found[:, gene] = np.minimum((chances <= drawn).sum(axis=1), chances.shape[1] - 1)
            token = embedding(torch.from_numpy(found[:, gene]))[:, None]
        return found

    def step(self, candidates: Ints, weights: Floats, advantages: Floats) -> None:
        """Make candidates of positive advantage, shape (n,), likelier, and the others less so."""
        told = torch.from_numpy(candidates)
        tokens = [self._first(torch.from_numpy(weights).float())]
        tokens += [self._values[gene](told[:, gene]) for gene in range(told.shape[1] - 1)]
        outputs, _ = self._lstm(torch.stack(tokens, dim=1))
        loss = torch.zeros(())
        for gene, softmax in enumerate(self._softmaxes):
            logs: Tensor = torch.log_softmax(softmax(outputs[:, gene]), dim=1)
            chosen = logs.gather(1, told[:, gene : gene + 1])[:, 0]
            loss = loss - (chosen * torch.from_numpy(advantages).float()).sum()
        self._optimiser.zero_grad()
        loss.backward()
        self._optimiser.step()
