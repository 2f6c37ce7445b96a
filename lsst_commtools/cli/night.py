"""``commtools night``: a night from raw files to the report."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lsst_commtools.cli.output import Context, safe_text
from lsst_commtools.cli.progress import Bars, progress_bars
from lsst_commtools.errors import InputError
from lsst_commtools.ids import check_day_obs

if TYPE_CHECKING:
    from lsst_commtools.night import NightResult, NightSettings
    from lsst_commtools.site import Site

__all__ = ["command"]

_SIMULATED_DAY_OBS = 20261120


@click.command("night")
@click.option("--day-obs", metavar="YYYYMMDD", help="The night [default: that of the raw files].")
@click.option("--instrument", metavar="NAME", help="ComCam or LATISS [default: the site's].")
@click.option("--visits", type=click.IntRange(1, 1000), help="Visits of a simulated night [default: 6].")
@click.option(
    "--raw",
    type=click.Path(path_type=Path),
    help="Take the raw files of this folder instead of simulated ones.",
)
@click.option(
    "--reference",
    type=click.Path(path_type=Path),
    help="Folder of reference-catalogue shards [default: the site's].",
)
@click.option(
    "--work", type=click.Path(path_type=Path), help="Folder of the night [default: below $COMMTOOLS_HOME]."
)
@click.option("--seed", type=click.IntRange(0), help="Seed of a simulated night [default: 1].")
@click.option(
    "--fault", "faults", multiple=True, metavar="NAME", help="Fault of a simulated night; may be repeated."
)
@click.pass_obj
def command(
    context: Context,
    day_obs: str | None,
    instrument: str | None,
    visits: int | None,
    raw: Path | None,
    reference: Path | None,
    work: Path | None,
    seed: int | None,
    faults: tuple[str, ...],
) -> int:
    """Process a night from raw files to the WCS and PSF report, whose path is printed last.

    Run again with the same --work, it does what is missing. Exit code 1 if problems were found.
    """
    from lsst_commtools.night import run_night

    site = context.site
    instrument = instrument or site.data.instrument
    night = None if day_obs is None else check_day_obs(day_obs)
    if raw is None and site.data.raw_folder:
        raw = Path(site.data.raw_folder).expanduser()
    with progress_bars() as bars:
        if raw is None:
            settings = _simulate(
                site, night, instrument, work, visits or 6, 1 if seed is None else seed, faults, bars
            )
        else:
            told = [
                name for name, value in (("--visits", visits), ("--seed", seed), ("--fault", faults)) if value
            ]
            if told:
                raise InputError(f"{', '.join(told)} belong to a simulated night, not to one with --raw.")
            settings = _take(site, night, instrument, work, raw, reference)
        result = run_night(settings, site, bars)
    context.emit(result.to_dict(), _describe(result))
    return 1 if result.problems or str(result.status) != "good" else 0


def _simulate(
    site: Site,
    day_obs: int | None,
    instrument: str,
    work: Path | None,
    visits: int,
    seed: int,
    faults: tuple[str, ...],
    bars: Bars,
) -> NightSettings:
    from lsst_commtools.instrument import get_camera
    from lsst_commtools.night import NightSettings, default_work
    from lsst_commtools.simulate import simulate_night
    from lsst_commtools.simulate.faults import parse_faults

    if site.real:
        raise InputError(
            f"The site {site.name} is real: its nights are not simulated.",
            advice="Give --raw, or --site local for a simulated night.",
        )
    day_obs = day_obs or _SIMULATED_DAY_OBS
    camera = get_camera(instrument)
    folder = (work or default_work(site, camera.name, day_obs)).absolute()
    names = [fault.value for fault in parse_faults(faults)]
    source = folder / "simulated"
    settings = NightSettings(
        day_obs=day_obs,
        instrument=camera.name,
        raw=source / "raw",
        work=folder,
        reference=source / "refcat",
        origin=f"Simulated: {visits} visits, seed {seed}, faults: {', '.join(names) or 'none'}",
        processes=site.data.processes,
    )
    settings.claim()
    simulate_night(
        source,
        camera=camera.name,
        day_obs=day_obs,
        visits=visits,
        seed=seed,
        faults=names,
        processes=site.data.processes,
        progress=lambda done, total: bars("simulate", done, total),
    )
    return settings


def _take(
    site: Site, day_obs: int | None, instrument: str, work: Path | None, raw: Path, reference: Path | None
) -> NightSettings:
    from lsst_commtools.instrument import get_camera
    from lsst_commtools.night import NightSettings, default_work, find_day_obs

    camera = get_camera(instrument)
    raw = raw.absolute()
    day_obs = day_obs or find_day_obs(raw, camera)
    told = Path(site.data.reference_folder).expanduser() if site.data.reference_folder else None
    beside = raw.parent / "refcat"
    reference = reference or told or (beside if beside.is_dir() else None)
    if reference is not None and not reference.is_dir():
        raise InputError(
            f"There is no folder {reference}.", advice="Give the folder of the reference shards."
        )
    return NightSettings(
        day_obs=day_obs,
        instrument=camera.name,
        raw=raw,
        work=(work or default_work(site, camera.name, day_obs)).absolute(),
        reference=reference and reference.absolute(),
        origin=f"Raw files of {raw}",
        processes=site.data.processes,
    )


def _describe(result: NightResult) -> str:
    lines = [f"{result.settings.instrument} {result.settings.day_obs}: {result.status}"]
    lines += [f"  {station:<12} {count:>6}" for station, count in result.counts.to_dict().items()]
    for visit in result.visits:
        lines.append(f"  visit {visit.visit}: {visit.status}" + "".join(f"\n    {r}" for r in visit.reasons))
    kinds = Counter(problem.kind for problem in result.problems)
    lines += [f"  {number} x {kind}" for kind, number in sorted(kinds.items())]
    return "\n".join([*map(safe_text, lines), str(result.report)]).replace("\\n", "\n")
