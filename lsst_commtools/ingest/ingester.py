"""Raw files into a Butler repository, each file accounted for.

A file's content decides, not its name: two files with the same data id and the same sha256 are one file twice;
with another sha256 they collide, the first stays, and the second is kept aside. What is first is settled by the
claim in the ledger (see `ledger`), before the Butler is told.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lsst_commtools.errors import InputError, ServiceError
from lsst_commtools.ingest.examination import (
    Candidate,
    ExposureFacts,
    data_id_of,
    examine,
    list_files,
    majority,
)
from lsst_commtools.ingest.ledger import Claim, IngestLedger, Key, Verdict
from lsst_commtools.ingest.outcomes import FileOutcome, IngestReport, Outcome
from lsst_commtools.ingest.repository import open_repository, raw_run, register_instrument
from lsst_commtools.instrument.cameras import Camera, get_camera

if TYPE_CHECKING:
    from lsst.daf.butler import Butler, DatasetRef

__all__ = ["TRANSFERS", "Ingester"]

TRANSFERS = ("direct", "copy", "symlink")
"""Ways to take a file: leave it where it is, copy it into the repository, or link to it from there."""

BATCH_FILES = 64
LOCK_ATTEMPTS = 6


class Ingester:
    """Ingest raw files of one camera.

    Several ingesters, in any processes, may work on one repository at once; a killed one leaves nothing that the
    next run over the same files does not mend.

    Parameters
    ----------
    repository
        Folder of the repository.
    camera
        The camera, or its name.
    work
        Where files of collisions are kept, in ``aside/``; by default beside the repository.
    transfer
        One of `TRANSFERS`.

    Raises
    ------
    InputError
        If there is no such transfer.
    NotFoundError
        If there is no such camera.
    """

    def __init__(
        self,
        repository: str | Path,
        camera: Camera | str,
        *,
        work: str | Path | None = None,
        transfer: str = "direct",
    ) -> None:
        if transfer not in TRANSFERS:
            raise InputError(
                f"{transfer!r} is no way to take files.", advice=f"Give one of {', '.join(TRANSFERS)}."
            )
        self._folder = Path(repository).absolute()
        self._camera = get_camera(camera) if isinstance(camera, str) else camera
        self._aside = (self._folder.parent if work is None else Path(work).absolute()) / "aside"
        self._transfer = transfer

    def ingest(
        self,
        paths: Iterable[str | Path],
        progress: Callable[[int, int], None] | None = None,
        *,
        only_day_obs: int | None = None,
    ) -> IngestReport:
        """Ingest files.

        Parameters
        ----------
        paths
            Files, and folders that hold some.
        progress
            Called with the files done and the files in all.
        only_day_obs
            Refuse files of other nights; None takes all.

        Returns
        -------
        IngestReport
            One outcome for each file.

        Raises
        ------
        NotFoundError
            If a path or the repository does not exist.
        ServiceError
            If the repository or the folder for collisions cannot be written.
        """
        files = list_files(paths)
        outcomes: dict[Path, FileOutcome] = {}
        corrections: dict[tuple[int, int], tuple[str, ...]] = {}
        with open_repository(self._folder, writeable=True) as butler:
            ledger = IngestLedger(self._folder)
            try:
                register_instrument(butler, self._camera)
                run = _Run(
                    butler,
                    ledger,
                    self._camera,
                    folder=self._folder,
                    aside=self._aside,
                    transfer=self._transfer,
                )
                for start in range(0, len(files), BATCH_FILES):
                    for outcome, corrected in run.process(files[start : start + BATCH_FILES], only_day_obs):
                        outcomes[outcome.path] = outcome
                        if corrected and outcome.data_id is not None:
                            corrections[outcome.data_id["exposure"], outcome.data_id["detector"]] = corrected
                    if progress is not None:
                        progress(min(start + BATCH_FILES, len(files)), len(files))
            finally:
                ledger.close()
        return IngestReport(tuple(outcomes[path] for path in files), corrections)

    def forget(self, images: Mapping[Path, tuple[int, int]]) -> None:
        """Take images out of the repository that it reads in place, before their files are removed.

        Parameters
        ----------
        images
            File to exposure and detector. Images that the repository reads from other files stay.

        Raises
        ------
        ServiceError
            If the repository cannot be written.
        """
        from sqlalchemy.exc import OperationalError

        keys = {(self._camera.name, *image): path for path, image in images.items()}
        with open_repository(self._folder, writeable=True) as butler:
            register_instrument(butler, self._camera)
            found = find_raws(butler, self._camera, set(keys))
            refs = [ref for key, ref in found.items() if Path(butler.getURI(ref).ospath) == keys[key]]
            try:
                butler.pruneDatasets(refs, disassociate=True, unstore=True, purge=True)
            except OperationalError as error:
                raise ServiceError(f"The registry cannot be written: {error.orig}.") from error


def find_raws(butler: Butler, camera: Camera, keys: set[Key]) -> dict[Key, DatasetRef]:
    """Find which raw images the Butler has.

    Parameters
    ----------
    butler
        Of the repository.
    camera
        Whose raw run is looked at.
    keys
        Instrument, exposure, detector of each.

    Returns
    -------
    dict
        Those of them that it has.
    """
    if not keys:
        return {}
    refs = butler.query_datasets(
        "raw",
        collections=raw_run(camera),
        find_first=False,
        where=f"instrument = camera AND exposure IN ({', '.join(map(str, sorted({key[1] for key in keys})))})",
        bind={"camera": camera.name},
        explain=False,
        limit=None,
    )
    found = {(camera.name, ref.dataId["exposure"], ref.dataId["detector"]): ref for ref in refs}
    return {key: found[key] for key in keys if key in found}


class _Run:
    """One call of `Ingester.ingest`: what it has learnt of the repository so far."""

    def __init__(
        self,
        butler: Butler,
        ledger: IngestLedger,
        camera: Camera,
        *,
        folder: Path,
        aside: Path,
        transfer: str,
    ) -> None:
        self._butler = butler
        self._ledger = ledger
        self._camera = camera
        self._folder = folder
        self._aside = aside
        self._transfer = transfer
        self._run = raw_run(camera)
        self._dataset_type = butler.get_dataset_type("raw")
        self._facts: dict[int, ExposureFacts] = {}
        self._inserted: set[int] = set()

    def process(
        self, files: Sequence[Path], only_day_obs: int | None
    ) -> Iterator[tuple[FileOutcome, tuple[str, ...]]]:
        """Bring a batch of files to their outcomes."""
        remembered = self._remember(files, only_day_obs)
        candidates: list[Candidate] = []
        for path in files:
            if path in remembered:
                yield remembered[path], ()
                continue
            found = examine(path, self._camera, only_day_obs)
            if isinstance(found, FileOutcome):
                yield found, ()
            else:
                candidates.append(found)
        agreeing = []
        self._learn_facts(candidates)
        for candidate in candidates:
            wrong = self._facts[candidate.info.exposure_id].disagreement(candidate.info)
            if wrong:
                yield candidate.outcome(Outcome.HEADER_REFUSED, wrong), ()
            else:
                agreeing.append(candidate)
        for candidate, outcome in self._settle(agreeing):
            yield outcome, candidate.info.corrections

    def _remember(self, files: Sequence[Path], only_day_obs: int | None) -> dict[Path, FileOutcome]:
        """Take the outcomes of files that an earlier run settled and that are unchanged, if the Butler agrees."""
        known: dict[Path, Verdict] = {}
        for path in files:
            with contextlib.suppress(OSError):
                state = path.stat()
                verdict = self._ledger.verdict(str(path), state.st_size, state.st_mtime_ns)
                asked = verdict is not None and only_day_obs in (None, verdict.day_obs)
                if verdict is not None and asked and verdict.key[0] == self._camera.name:
                    known[path] = verdict
        present = self._present({verdict.key for verdict in known.values()})
        return {
            path: FileOutcome(
                path,
                Outcome(verdict.outcome),
                verdict.reason,
                data_id_of(verdict.key, verdict.day_obs, verdict.seq_num),
                verdict.sha256,
                Path(verdict.kept_aside) if verdict.kept_aside else None,
            )
            for path, verdict in known.items()
            if verdict.key in present and (not verdict.kept_aside or Path(verdict.kept_aside).is_file())
        }

    def _present(self, keys: set[Key]) -> dict[Key, DatasetRef]:
        """Find which data ids the Butler has."""
        return find_raws(self._butler, self._camera, keys)

    def _learn_facts(self, candidates: Sequence[Candidate]) -> None:
        """Know for each exposure what its detectors must agree on: what is recorded, or what most of them say."""
        new = {c.info.exposure_id for c in candidates} - self._facts.keys()
        if not new:
            return
        records = self._butler.query_dimension_records(
            "exposure",
            where=f"instrument = camera AND exposure IN ({', '.join(map(str, sorted(new)))})",
            bind={"camera": self._camera.name},
            explain=False,
            limit=None,
        )
        said = majority([c for c in candidates if c.info.exposure_id in new])
        recorded = {r.id: ExposureFacts(r.obs_id, r.observation_type, r.physical_filter) for r in records}
        self._facts |= {**said, **recorded}

    def _settle(self, candidates: Sequence[Candidate]) -> list[tuple[Candidate, FileOutcome]]:
        """Claim, ingest and note; every candidate comes out with its outcome."""
        if not candidates:
            return []
        first: dict[Key, Candidate] = {}
        for candidate in candidates:
            first.setdefault(candidate.key, candidate)
        claims = self._ledger.claim({key: (str(c.path), c.sha256) for key, c in first.items()})
        wanted: dict[Key, Candidate] = {}
        for key, candidate in first.items():
            claims[key], claimant = self._claimant(candidate, claims[key])
            if claimant is not None:
                wanted[key] = claimant
        for key, stored in self._ingest(list(wanted.values())).items():
            claims[key] = self._ledger.replace_claim(key, claims[key], *stored)
        outcomes = [(c, self._judge(c, claims[c.key])) for c in candidates]
        self._ledger.note(wanted, [_verdict(c, outcome) for c, outcome in outcomes])
        return outcomes

    def _claimant(self, candidate: Candidate, claim: Claim) -> tuple[Claim, Candidate | None]:
        """Find the file that must be ingested under a claim; None if the Butler has it already.

        A claim that was not completed is completed with its own file, so that the first one stays also when its
        ingester was killed; only if that file is gone or changed does this one take its place.
        """
        if claim.ingested and candidate.key in self._present({candidate.key}):
            return claim, None
        if claim.sha256 == candidate.sha256 and claim.path == str(candidate.path):
            return claim, candidate
        earlier = examine(Path(claim.path), self._camera)
        if isinstance(earlier, Candidate) and earlier.sha256 == claim.sha256 and earlier.key == candidate.key:
            return claim, earlier
        claim = self._ledger.replace_claim(candidate.key, claim, str(candidate.path), candidate.sha256)
        return claim, candidate if claim.path == str(candidate.path) else None

    def _judge(self, candidate: Candidate, claim: Claim) -> FileOutcome:
        if claim.sha256 == candidate.sha256:
            if claim.path == str(candidate.path):
                return candidate.outcome(Outcome.INGESTED)
            return candidate.outcome(Outcome.IDENTICAL_DUPLICATE, f"The same content as {claim.path}.")
        kept = self._keep_aside(candidate)
        if claim.path == str(candidate.path):
            return candidate.outcome(Outcome.COLLISION, "Its content changed after it was ingested.", kept)
        return candidate.outcome(
            Outcome.COLLISION, f"The same data id as {claim.path}, with other content.", kept
        )

    def _keep_aside(self, candidate: Candidate) -> Path:
        name = candidate.path.name
        stem, ending = name.split(".", 1) if "." in name else (name, "fits")
        target = self._aside / f"{stem}-{candidate.sha256[:12]}.{ending}"
        if not target.is_file() or target.stat().st_size != candidate.size_bytes:
            _place(candidate.path, target, "copy")
        return target

    def _ingest(self, candidates: Sequence[Candidate]) -> dict[Key, tuple[str, str]]:
        """Ingest files; give path and sha256 of those data ids for which the Butler holds other content.

        Other ingesters may be ingesting the same ones: what one of them was faster with is as good as done.
        """
        from lsst.daf.butler.registry import ConflictingDefinitionError

        if not candidates:
            return {}
        if len(candidates) > 1:
            try:
                self._ingest_together(candidates)
            except ConflictingDefinitionError:
                return dict(pair for candidate in candidates for pair in self._ingest([candidate]).items())
            return {}
        for attempt in range(LOCK_ATTEMPTS):
            try:
                self._ingest_together(candidates)
            except ConflictingDefinitionError as error:
                if (stored := self._stored(candidates[0])) is not None:
                    return stored
                # Neither taken nor there: another writer is between its steps, or has just been killed there.
                if attempt == LOCK_ATTEMPTS - 1:
                    message = f"The Butler refuses {candidates[0].path.name}, and holds nothing in its place: {error}"
                    raise ServiceError(message) from error
                time.sleep(0.1 * 2**attempt)
            else:
                break
        return {}

    def _stored(self, candidate: Candidate) -> dict[Key, tuple[str, str]] | None:
        """Compare what the Butler has with a file that it did not take; None if it has nothing."""
        ref = self._present({candidate.key}).get(candidate.key)
        if ref is None:
            return None
        artifact = Path(self._butler.getURI(ref).ospath)
        try:
            sha256 = hashlib.sha256(artifact.read_bytes()).hexdigest()
        except OSError as error:
            raise ServiceError(f"The stored file {artifact} cannot be read: {error.strerror}.") from error
        if sha256 == candidate.sha256:
            return {}
        return {candidate.key: (str(artifact), sha256)}

    def _ingest_together(self, candidates: Sequence[Candidate]) -> None:
        """Insert records and datasets in one transaction, waiting for other writers."""
        from sqlalchemy.exc import OperationalError

        from lsst_commtools.ingest.dimensions import insert_exposure

        new = {
            c.info.exposure_id: c for c in reversed(candidates) if c.info.exposure_id not in self._inserted
        }
        datasets = [self._dataset(candidate) for candidate in candidates]
        for attempt in range(LOCK_ATTEMPTS):
            try:
                with self._butler.transaction():
                    for exposure in sorted(new):
                        insert_exposure(self._butler, self._camera, new[exposure].info, new[exposure].shape)
                    self._butler.ingest(*datasets, transfer="direct" if self._transfer == "direct" else None)
            except OperationalError as error:
                if attempt == LOCK_ATTEMPTS - 1:
                    raise ServiceError(f"The registry cannot be written: {error.orig}.") from error
                time.sleep(0.2 * 2**attempt)
            else:
                self._inserted |= new.keys()
                return

    def _dataset(self, candidate: Candidate) -> object:
        from lsst.daf.butler import DataCoordinate, DatasetIdGenEnum, DatasetRef, FileDataset

        from lsst_commtools.instrument.formatters import RawFormatter

        instrument, exposure, detector = candidate.key
        data_id = DataCoordinate.standardize(
            instrument=instrument, exposure=exposure, detector=detector, universe=self._butler.dimensions
        )
        ref = DatasetRef(
            self._dataset_type, data_id, run=self._run, id_generation_mode=DatasetIdGenEnum.DATAID_TYPE_RUN
        )
        path = candidate.path
        if self._transfer != "direct":
            info = candidate.info
            ending = path.name.split(".", 1)[1] if "." in path.name else "fits"
            name = f"{info.obs_id}_{info.detector_name}.{ending}"
            path = self._folder / self._run / "raw" / str(info.day_obs) / info.obs_id / name
            _place(candidate.path, path, self._transfer)
        return FileDataset(path=str(path), refs=[ref], formatter=RawFormatter)


def _verdict(candidate: Candidate, outcome: FileOutcome) -> Verdict:
    return Verdict(
        str(candidate.path),
        candidate.size_bytes,
        candidate.mtime_ns,
        candidate.sha256,
        outcome.outcome.value,
        outcome.reason,
        str(outcome.kept_aside or ""),
        candidate.key,
        candidate.info.day_obs,
        candidate.info.seq_num,
    )


def _place(source: Path, target: Path, transfer: str) -> None:
    """Copy or link a file to its place in one step, so that nobody sees half of it."""
    part = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        if transfer == "symlink":
            part.symlink_to(source)
        else:
            shutil.copy2(source, part)
        part.replace(target)
    except OSError as error:
        raise ServiceError(f"{source.name} cannot be put into {target.parent}: {error.strerror}.") from error
