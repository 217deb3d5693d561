"""Collection of a report's data from a build folder, or from the folder of a search."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from codesign import prediction
from codesign.build.manifest import is_build
from codesign.fpga import devices, families, placement
from codesign.fpga.devices import Device
from codesign.fpga.placement import CriticalPath, Hop
from codesign.report import stored
from codesign.report.data import Candidate, ReportData
from codesign.report.layers import layer_rows
from codesign.report.subject import Subject
from codesign.report.subject import read as read_subject
from codesign.results import RESOURCES, Budget, Figures, UserError
from models.files import forms
from models.files.reading import quoted

_T = TypeVar("_T")
ACCURACY, ESTIMATE, SYNTHESIS, VERIFICATION = "accuracy", "estimate", "synthesis", "verification"
TIMING, TRAINING = "timing", "training"
"""Names of the files in reports/, without ``.json``; each may be missing."""


def from_build(
    folder: Path,
    *,
    budget: Budget | None = None,
    device: str | None = None,
    candidates: Iterable[Candidate] = (),
    facts: Iterable[tuple[str, str]] = (),
) -> ReportData:
    """Collect the report of a build folder; a search adds its budget, candidates and facts.

    device: name of the part whose capacity limits the resources that the budget does not (default:
    that of the build; without one a part that is called assumed: devices.DEFAULT, or without a
    budget one of the synthesised family). All resources are of the part's family. If the build is
    for another, it is estimated anew, by its shapes alone, and the budget left out; a synthesis for
    another is left out, too. Notes say what is left out.

    facts: names and values to list behind those of the build. Raises YamlError for a missing or
    invalid design file; UserError for an unknown device, or another file that is missing (reports
    may be) or not as ``stored.FORMS`` has it; InfeasibleError if the NPU cannot run the network.
    """
    subject = read_subject(folder)
    design, plan = subject.design, subject.plan
    names = (ACCURACY, ESTIMATE, SYNTHESIS, TIMING, TRAINING, VERIFICATION)
    scores, predicted, mapped, placed, curves, ran = (_report(folder, name) for name in names)
    manifest = stored.read(folder, "manifest")
    # Builds of searches of release 0.2 have no such key; the search says it.
    own = manifest.get("device", device if budget else None)
    chosen = device or own
    part = devices.get(chosen or (devices.DEFAULT if budget else _usual_part(mapped, placed)))
    family = devices.family_of(devices.get(own) if own else None)
    synthesised, foreign = _synthesised(mapped, part)
    if part.family != family:
        predicted = prediction.estimate_plan(plan, design.clock_mhz, part.family).to_dict()
        if budget:
            foreign.append(f"the budget counts resources of {family} and is left out")
            budget = None
    program = stored.read(folder, "program")["programs"]["normal"]
    return ReportData(
        name=design.name,
        npu=design.npu,
        clock_mhz=design.clock_mhz,
        layers=layer_rows(plan, program["instructions"], _simulated(ran)),
        estimate=figures(predicted),
        simulated=figures(ran),
        synthesised=synthesised,
        intervals={
            name: (min(ends), max(ends))
            for name, ends in predicted.get("intervals", {}).items()
            if ends
        },
        notes=(*predicted.get("notes", ()), *foreign),
        budget=budget,
        device=part.part,
        device_assumed=chosen is None,
        capacity={name: getattr(part, name) for name in RESOURCES},
        accuracy_validation=scores.get("validation"),
        accuracy_test=scores.get("test"),
        verified_images=ran.get("images"),
        bit_exact=ran.get("bit_exact"),
        mismatch=ran.get("failure"),
        candidates=tuple(candidates),
        curves={name: stored.epochs(one, folder) for name, one in curves.items() if one["epochs"]},
        score=next((one["score"] for one in curves.values() if "score" in one), "accuracy"),
        critical_path=_critical_path(placed),
        network_svg=subject.network_svg,
        facts=(*_facts(subject, manifest, mapped, placed, ran), *facts),
    )


def figures(values: Mapping[str, Any]) -> Figures | None:
    """Return the Figures of those values that have its fields' names and are not None.

    None if there are none.
    """
    known = {name: values[name] for name in vars(Figures()) if values.get(name) is not None}
    return Figures(**known) if known else None


def _usual_part(mapped: Mapping[str, Any], placed: Mapping[str, Any]) -> str:
    """Return the part to assume for a build whose maker named none: of the synthesised family.

    Without a synthesis it is devices.DEFAULT.
    """
    if mapped.get("family") != families.ECP5.name:
        return devices.DEFAULT
    return str(placed.get("device", placement.DEVICE))


def _synthesised(mapped: Mapping[str, Any], part: Device) -> tuple[Figures | None, list[str]]:
    """Return the synthesised figures of the part's family, and a note where they are of another.

    The clock that place and route found is kept: it says itself what it is of.
    """
    found, family = figures(mapped.get("figures", {})), mapped.get("family", part.family)
    if found is None or family == part.family:
        return found, []
    clock = Figures(fmax_mhz=found.fmax_mhz) if found.fmax_mhz else None
    return clock, [
        f"synthesis was for {family}, this page is for {part.name} ({part.family}): its resources "
        f"are left out; codesign synth --device {part.name} counts them"
    ]


def _report(folder: Path, name: str) -> dict[str, Any]:
    present = (folder / "reports" / f"{name}.json").exists()
    return stored.read(folder / "reports", name) if present else {}


def _critical_path(timing: Mapping[str, Any]) -> CriticalPath | None:
    if not timing:
        return None
    path = timing["critical_path"]
    return _of(CriticalPath, {**path, "hops": tuple(_of(Hop, hop) for hop in path["hops"])})


def _simulated(verification: Mapping[str, Any]) -> list[int]:
    """Return simulated cycles per instruction of the normal program; empty if not simulated.

    They are, in order, those of the traced program without its STORE instructions.
    """
    rows = verification.get("layers", [])
    return [row["simulated"] for row in rows if row["opcode"] != "STORE"]


def _facts(
    subject: Subject,
    manifest: Mapping[str, Any],
    synthesis: Mapping[str, Any],
    timing: Mapping[str, Any],
    verification: Mapping[str, Any],
) -> list[tuple[str, str]]:
    found = [
        subject.origin,
        ("Seed", str(subject.design.seed)),
        ("Configuration hash", subject.design.npu.hash[:16]),
    ]
    if synthesis:
        parts = (synthesis["tool_version"], synthesis["family"], f"{synthesis['seconds']:.0f} s")
        found.append(("Synthesis", ", ".join(parts)))
    if timing:
        speed = f"{timing['device']}, speed grade {timing['speed_grade']}"
        parts = (timing["tool_version"], speed, f"{timing['seconds']:.0f} s")
        found.append(("Place and route", ", ".join(parts)))
    if verification:
        found.append(("Simulator", verification["simulator"]["name"]))
    versions = ", ".join(f"{name} {text}" for name, text in manifest.get("versions", {}).items())
    return [*found, ("Versions", versions)] if versions else found


def from_folder(folder: Path, device: str | None = None) -> ReportData:
    """Collect the report of a build folder or of a search.

    device: name of the part as for ``from_build``; None: that of the search, if it has one, else
    ``from_build``'s default. Raises UserError for other folders and for a search that built
    nothing, and as ``from_build`` does.
    """
    if is_build(folder):
        return from_build(folder, device=device)
    summary = folder / "summary.json"
    if not summary.exists():
        raise UserError(f"{folder} is neither a build folder nor a finished codesign explore")
    return _from_run(folder, stored.read(folder, "summary"), device)


def _from_run(folder: Path, summary: dict[str, Any], device: str | None) -> ReportData:
    if not summary.get("build"):
        raise UserError(f"{folder}: this search built nothing: {summary.get('problem')}")
    return from_build(
        stored.built(folder, summary),
        budget=_budget(summary.get("budget", {}), folder),
        device=device or stored.read(folder, "explore").get("device"),
        candidates=candidates(stored.read(folder, "front")),
    )


def candidates(front: Mapping[str, Any]) -> list[Candidate]:
    """Return the candidates of a front.json, whose content has its form in ``stored.FORMS``.

    Raises UserError for accuracies outside 0..1, throughput and LUTs that are not above 0.
    """
    found = [_of(Candidate, one) for one in front["candidates"]]
    for one in found:
        if not (0 <= one.accuracy <= 1 and one.images_per_second > 0 and one.luts > 0):
            raise UserError(
                f"front.json: {quoted(one.label)}: accuracy must be 0..1, images_per_second and "
                "luts above 0"
            )
    return found


def _of(kind: type[_T], values: Mapping[str, Any]) -> _T:
    """Return the dataclass ``kind`` of its fields in ``values``; other keys are left out."""
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: values[name] for name in names if name in values})


def _budget(limits: Mapping[str, Any], folder: Path) -> Budget:
    try:
        forms.conform(limits, {str: (None, float)}, f"{folder / 'summary.json'}: budget")
        return Budget(**limits)
    except (TypeError, ValueError) as error:
        raise UserError(f"{folder / 'summary.json'}: budget: {error}") from None
