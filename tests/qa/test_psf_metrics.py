from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy.special import j0

from lsst_commtools.cli import main
from lsst_commtools.errors import TableError
from lsst_commtools.qa import correlations
from lsst_commtools.qa.correlations import residual_correlations, rho_statistics
from lsst_commtools.qa.projection import sky_to_tangent, tangent_to_sky, unit_vectors
from lsst_commtools.qa.psf_metrics import measure_ellipticity
from lsst_commtools.qa.survey import read_survey, shapes_of_visits

VISIT = 2026112000001


def moments(e, t):
    return {"ixx": t * (1 + e.real) / 2, "iyy": t * (1 - e.real) / 2, "ixy": t * e.imag / 2}


@pytest.fixture
def make_visit():
    """A visit as a table: shear of star and model are functions of xi, eta [arcsec] in the field's axes."""

    def make(
        star, model, n=800, centre=(150.0, -30.0), visit=VISIT, width=2400.0, seed=1, dt=0.0, turn_deg=None
    ):
        rng = np.random.default_rng(seed)
        xi, eta = rng.uniform(-width, width, (2, n))
        ra, dec = tangent_to_sky(xi, eta, centre)
        e_star, e_model = (np.broadcast_to(f(xi, eta), n).astype(complex) for f in (star, model))
        t = np.full(n, 0.4)
        detector = (xi > 0).astype(int)
        # Detector 0 has x to the west and y to the north; detector 1 is turned and not mirrored.
        angle = np.radians(37.0 if turn_deg is None else turn_deg)
        x0, y0, e0 = -xi / 0.2, eta / 0.2, np.conj
        x1, y1 = (
            (xi * np.cos(angle) + eta * np.sin(angle)) / 0.2,
            (eta * np.cos(angle) - xi * np.sin(angle)) / 0.2,
        )
        table = {"visit": visit, "object_id": np.arange(n) + 2**60, "ra": ra, "dec": dec, "mag": 18.0, "snr": 200.0,
                 "x": np.where(detector == 0, x0, x1), "y": np.where(detector == 0, y0, y1), "detector": detector,
                 "reserved": False}  # fmt: skip
        for e, size, suffix in ((e_star, t, ""), (e_model, t * (1 - dt), "_psf")):
            seen = np.where(detector == 0, e0(e), e * np.exp(-2j * angle))
            table.update({name + suffix: values for name, values in moments(seen, size).items()})
        return pd.DataFrame(table)

    return make


@pytest.fixture
def survey(tmp_path):
    """Visits as a survey, by way of a parquet file."""

    def save(*visits):
        path = tmp_path / "stars.parquet"
        pd.concat(visits).to_parquet(path)
        return read_survey([path])

    return save


def constant(e):
    return lambda xi, eta: np.full(xi.shape, e)


@pytest.mark.parametrize("centre", [(150.0, -30.0), (0.0, -60.0), (0.1, -89.0), (20.0, 0.0)])
def test_constant_residual_gives_its_square_on_detectors_that_are_turned_and_mirrored(
    make_visit, survey, centre
):
    visits = [make_visit(constant(0.053 + 0.022j), constant(0.05 + 0.02j), centre=centre, visit=v, seed=v)
              for v in (1, 2)]  # fmt: skip
    metrics = measure_ellipticity(survey(*visits))
    for name in ("TE1", "TE2", "TE3", "TE4"):
        found = metrics.metrics[name]
        assert [found[part] for part in ("E1", "E2", "EX")] == pytest.approx([9e-6, 4e-6, 6e-6], abs=3e-7)
    assert metrics.metrics["TE1"]["status"] == "good"
    assert metrics.metrics["TE2"]["status"] == "bad"
    assert metrics.metrics["SE1"]["value"] == pytest.approx(abs(0.053 + 0.022j), rel=1e-6)
    assert metrics.metrics["SE1"]["status"] == "bad"
    assert metrics.metrics["EF1"]["value"] == 0.0
    # The shear is about half the distortion; it keeps its correlation also where meridians meet.
    assert metrics.rho["rho1"].bin_slop == 0
    full = metrics.rho["rho1"].n_pairs > 20
    assert metrics.rho["rho1"].xi[full] == pytest.approx(13e-6 / 4, rel=5e-3)


def test_scalars_of_turned_detectors_would_not_have_given_it(make_visit, survey):
    stars = survey(make_visit(constant(0.053), constant(0.05), turn_deg=90.0))
    visits, _, _ = shapes_of_visits(stars)
    assert visits[0].frame == "east and north at the middle of the field"
    assert visits[0].shapes.de1 == pytest.approx(np.full(800, 0.003), rel=1e-6)
    assert np.ptp(visits[0].detector_e1) > 0.1


def test_white_noise_is_nothing_within_its_errors(make_visit, survey):
    rng = np.random.default_rng(5)

    def noise(xi, _):
        return 0.05 + rng.normal(0, 0.01, xi.size) + 1j * rng.normal(0, 0.02, xi.size)

    visits = [make_visit(noise, constant(0.05), visit=v, seed=v, n=800) for v in range(1, 17)]
    metrics = measure_ellipticity(survey(*visits), bin_slop=0.1)
    pulls = []
    for _, near, far in metrics.correlations:
        for means in (near, far):
            values = np.array([means.e1, means.e2, means.ex])
            pulls.append(values / means.errors)
    pulls = np.array(pulls)
    assert np.abs(pulls).max() < 4.5
    assert pulls.std(axis=0) == pytest.approx(np.ones(3), abs=0.35)
    rho1 = metrics.rho["rho1"]
    full = rho1.n_pairs > 20
    assert np.std(rho1.xi[full] / rho1.sigma[full]) == pytest.approx(1.0, abs=0.3)


def test_gradient_over_the_field(make_visit, survey):
    slope = 0.01 / 2400.0
    stars = survey(make_visit(lambda xi, _: slope * xi + 0j, constant(0.0), n=4000))
    near, far = residual_correlations(shapes_of_visits(stars)[0][0].shapes)
    # <x x'> of near pairs is <x^2>, of all pairs 0: the far ones make up for the near.
    assert near.e1 == pytest.approx(slope**2 * 2400.0**2 / 3, rel=0.05)
    assert far.e1 < 0.02 * near.e1
    assert near.e2 == pytest.approx(0, abs=1e-12)


def test_plane_wave_correlates_like_a_bessel_function(make_visit, survey):
    k, amplitude = 2 * np.pi / 600.0, 0.02
    angles = np.random.default_rng(1).uniform(0, 2 * np.pi, 3)

    def wave(xi, eta):
        return sum(amplitude * np.cos(k * (xi * np.cos(a) + eta * np.sin(a)) + 7 * a) for a in angles) + 0j

    stars = survey(make_visit(wave, constant(0.0), n=4000, width=3600.0))
    shapes = shapes_of_visits(stars)[0][0].shapes
    rho1 = rho_statistics([shapes])["rho1"]
    inside = (rho1.theta_arcmin > 1) & (rho1.theta_arcmin < 12)
    expected = 3 * (amplitude / 2) ** 2 / 2 * j0(k * 60 * rho1.theta_arcmin[inside])
    assert rho1.xi[inside] == pytest.approx(expected, abs=0.06 * 3 * (amplitude / 2) ** 2 / 2)


@pytest.mark.parametrize("centre", [(150.0, -30.0), (0.0, -60.0), (0.0, -89.0), (0.0, 0.0)])
def test_te_agrees_with_all_pairs_one_by_one(make_visit, survey, centre):
    rng = np.random.default_rng(2)
    stars = survey(
        make_visit(
            lambda x, _: rng.normal(0, 0.01, (x.size, 2)) @ (1, 1j),
            constant(0.01j),
            n=900,
            width=700.0,
            centre=centre,
        )
    )
    shapes = shapes_of_visits(stars)[0][0].shapes
    vectors = unit_vectors(shapes.ra_deg, shapes.dec_deg)
    chord = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    theta = np.degrees(2 * np.arcsin(chord / 2)) * 60
    one, other = np.triu_indices(len(shapes), 1)
    for means, chosen in zip(residual_correlations(shapes), (theta <= 1.0, theta >= 5.0), strict=True):
        mask = chosen[one, other]
        i, j = one[mask], other[mask]
        a, b = shapes.de1, shapes.de2
        assert means.n_pairs == mask.sum()
        assert means.e1 == pytest.approx(np.mean(a[i] * a[j]), rel=1e-9)
        assert means.e2 == pytest.approx(np.mean(b[i] * b[j]), rel=1e-9)
        assert means.ex == pytest.approx(np.mean(a[i] * b[j] + b[i] * a[j]) / 2, rel=1e-9)


def test_rho_agrees_with_treecorr_pair_by_pair_and_counts_no_pair_of_two_visits(make_visit, survey):
    import treecorr

    rng = np.random.default_rng(3)

    def noisy(x, _):
        return 0.05 + rng.normal(0, 0.02, x.size) + 1j * rng.normal(0, 0.02, x.size)

    stars = survey(*(make_visit(noisy, constant(0.04), n=300, visit=v, seed=v, dt=0.03, centre=(150.0, 0.0))
                     for v in (1, 2)))  # fmt: skip
    parts = [v.shapes for v in shapes_of_visits(stars)[0]]
    ours = rho_statistics(parts)
    xi, weight = {}, {}
    for s in parts:
        position = {"ra": s.ra_deg, "dec": s.dec_deg, "ra_units": "deg", "dec_units": "deg"}
        e, de = ((g1, -g2) for g1, g2 in ((s.g1, s.g2), (s.dg1, s.dg2)))
        size = tuple(g * s.dt_over_t for g in e)
        for name, one, other in (("rho1", de, de), ("rho2", e, de), ("rho3", size, size), ("rho4", de, size),
                                 ("rho5", e, size)):  # fmt: skip
            gg = treecorr.GGCorrelation(
                min_sep=0.5, max_sep=300, bin_size=0.1, sep_units="arcmin", brute=True
            )
            gg.process(*(treecorr.Catalog(g1=g[0], g2=g[1], **position) for g in (one, other)))
            xi[name] = xi.get(name, 0) + gg.xip * gg.npairs
            weight[name] = weight.get(name, 0) + gg.npairs
    for name, rho in ours.items():
        full = weight[name] > 0
        difference = rho.xi[full] - xi[name][full] / weight[name][full]
        assert np.abs(difference / rho.sigma[full]).max() < 1e-4
        assert rho.n_pairs.sum() == weight[name].sum() / 2 <= 2 * 300 * 299 / 2


def test_rho_of_sizes_takes_the_trace_of_the_star(make_visit, survey):
    rho = measure_ellipticity(survey(make_visit(constant(0.1), constant(0.1), dt=0.02, n=600))).rho
    g = 0.1 / (1 + np.sqrt(1 - 0.01))
    far = -1 - np.argmax(rho["rho3"].n_pairs[::-1] > 50)
    assert rho["rho3"].xi[far] == pytest.approx((g * 0.02) ** 2, rel=1e-3)
    assert rho["rho5"].xi[far] == pytest.approx(g * g * 0.02, rel=1e-3)
    assert rho["rho1"].xi[far] == pytest.approx(0.0, abs=1e-12)


def test_many_stars_are_correlated_less_exactly_and_that_is_said(make_visit, survey, monkeypatch):
    monkeypatch.setattr(correlations, "EXACT_STARS", 100)
    document = measure_ellipticity(survey(make_visit(constant(0.1), constant(0.1), n=200))).document()
    assert document["rho1"]["bin_slop"] == 0.05
    assert document["TE3"]["bin_slop"] == 0.0


def test_one_visit_has_no_te1(make_visit, survey):
    document = measure_ellipticity(survey(make_visit(constant(0.06), constant(0.05)))).document()
    for name in ("TE1", "TE2"):
        assert document[name]["E1"] is None
        assert document[name]["status"] == "unknown"
        assert "survey" in document[name]["reason"]
    assert document["TE3"]["E1"] == pytest.approx(1e-4, rel=1e-3)
    assert document["status"] == "bad"


def test_te3_lets_some_visits_exceed(make_visit, survey):
    bad = [make_visit(constant(0.06), constant(0.05), visit=v, n=400, seed=v) for v in range(1, 3)]
    good = [make_visit(constant(0.05), constant(0.05), visit=v, n=400, seed=v) for v in range(3, 21)]
    metrics = measure_ellipticity(survey(*bad, *good), bin_slop=0.1).metrics
    assert metrics["TE3"]["status"] == "good"
    assert metrics["TE3"]["percent_above_design"]["E1"] == pytest.approx(10.0)
    metrics = measure_ellipticity(survey(*bad, *good[:4]), bin_slop=0.1).metrics
    assert metrics["TE3"]["status"] == "bad"


def test_noise_above_the_limit_is_no_verdict(make_visit, survey):
    rng = np.random.default_rng(1)
    visits = [make_visit(lambda x, _: rng.normal(0, 0.02, x.size) + 0j, constant(0.0), n=150, visit=v, seed=v)
              for v in (1, 2, 3)]  # fmt: skip
    metrics = measure_ellipticity(survey(*visits)).metrics
    assert metrics["TE4"]["statuses"]["E1"] == "unknown"
    assert "more stars are needed" in metrics["TE4"]["reason"]
    assert metrics["TE4"]["E1"] is not None


def test_moments_in_pixels_become_arcsec_by_the_positions(make_visit, survey):
    visit = make_visit(constant(0.053), constant(0.05), n=300)
    names = {
        "ixx_psf": "ixxPSF",
        "iyy_psf": "iyyPSF",
        "ixy_psf": "ixyPSF",
        "ra": "coord_ra",
        "dec": "coord_dec",
    }
    pixels = visit.rename(columns=names)
    for name in ("ixx", "iyy", "ixy", "ixxPSF", "iyyPSF", "ixyPSF"):
        pixels[name] /= 0.2**2
    for table in (visit, pixels):
        metrics = measure_ellipticity(survey(table))
        assert metrics.visits[0].figures["fwhm_arcsec"] == pytest.approx(2.35482 * np.sqrt(0.2), rel=1e-3)
        assert metrics.metrics["TE3"]["E1"] == pytest.approx(9e-6, rel=1e-2)


def test_reserved_stars_are_preferred(make_visit, survey):
    visit = make_visit(constant(0.05), constant(0.05))
    visit.loc[:200, "reserved"] = True
    metrics = measure_ellipticity(survey(visit))
    assert (metrics.sample, metrics.n_stars) == ("reserved stars", 201)


@pytest.mark.parametrize("what", ["nan", "inf", "empty", "duplicates", "masked", "no_size", "huge"])
def test_what_cannot_be_measured_is_unknown_with_a_reason(make_visit, survey, what):
    visit = make_visit(constant(0.053), constant(0.05), n=100)
    if what == "duplicates":
        visit = pd.concat([visit, visit.iloc[:1]])
    elif what == "empty":
        visit = visit.iloc[:0]
    elif what == "masked":
        visit["ixx"] = pd.array([None] * 100, dtype="Float64")
    elif what == "no_size":
        visit["ixx_psf"] = 0.0
    elif what == "huge":
        visit["ixx"] = visit["iyy"] = 1e200
    else:
        visit["ixx"] = float(what)
    document = measure_ellipticity(survey(visit)).document()
    for name in ("TE1", "TE2", "TE3", "TE4"):
        assert document[name]["E1"] is document[name]["E2"] is document[name]["EX"] is None
        assert document[name]["status"] == "unknown"
        assert document[name]["reason"]
    for name in ("SE1", "SE2", "EF1"):
        assert document[name]["value"] is None
        assert document[name]["reason"]
    assert document["rho1"]["xi"] == []
    assert document["rho1"]["reason"]
    assert document["status"] == "unknown"


def test_one_star_that_is_not_finite_costs_only_itself(make_visit, survey):
    visit = make_visit(constant(0.053), constant(0.05), n=100)
    visit.loc[3, "ixy"] = np.inf
    metrics = measure_ellipticity(survey(visit))
    assert metrics.n_stars == 99
    assert "1 of 100 stars" in metrics.problems[0]


def test_identifiers_of_64_bits_stay_apart(make_visit, survey):
    assert measure_ellipticity(survey(make_visit(constant(0.0), constant(0.0), n=50))).n_stars == 50


def test_stars_without_an_object_are_no_duplicates(make_visit, survey):
    visit = make_visit(constant(0.0), constant(0.0), n=50)
    for names in (
        visit["object_id"].astype("Int64"),
        visit["object_id"] % 2**50,
        visit["object_id"].astype(str),
    ):
        some = visit.assign(object_id=names.mask(visit.index < 10))
        assert measure_ellipticity(survey(some)).n_stars == 50
    twice = visit.assign(object_id=(visit["object_id"] % 2**50).mask(visit.index < 10))
    twice.loc[20, "object_id"] = twice.loc[21, "object_id"]
    assert measure_ellipticity(survey(twice)).n_stars == 0


def test_positions_that_contradict_each_other_turn_nothing(make_visit, survey):
    visit = make_visit(constant(0.053), constant(0.05), n=200)
    visit["x"] = np.random.default_rng(99).uniform(0, 4000, 200)
    shown, problems, _ = shapes_of_visits(survey(visit))
    assert shown[0].frame == "as given"
    assert any("not turned" in line for line in problems)


def command(*arguments):
    with pytest.raises(SystemExit) as left:
        main([str(a) for a in arguments])
    return left.value.code


def test_command(make_visit, tmp_path, capsys):
    path, columns = tmp_path / "stars.parquet", tmp_path / "map.yaml"
    visits = [make_visit(constant(0.05), constant(0.05), visit=v, n=300, seed=v) for v in (1, 2)]
    pd.concat(visits).rename(columns={"ra": "RA_DEG", "visit": "expo"}).to_parquet(path)
    columns.write_text("ra: RA_DEG\nvisit: expo\n")
    code = command("--format", "json", "qa", "ellipticity", path, "--columns", columns, "--band", "r")
    document = json.loads(capsys.readouterr().out)
    assert code == 1  # SE1: an ellipticity of 0.05 is beyond its design
    assert document["TE1"]["status"] == "good"
    assert document["TE1"]["n_visits"] == 2
    assert set(document["rho1"]) >= {"theta_arcmin", "xi", "sigma"}
    assert document["visits"][0]["unknown"]["fwhm_zenith_500nm_arcsec"] == "the table does not tell the time"
    assert document["visits"][0]["fwhm_arcsec"] == pytest.approx(2.35482 * np.sqrt(0.2), rel=1e-5)
    assert command("qa", "ellipticity", path, "--columns", columns) == 1
    assert "TE3" in capsys.readouterr().out
    assert command("qa", "ellipticity", tmp_path / "none.parquet") == 2


def test_partitioned_folders_are_read_column_by_column(make_visit, tmp_path):
    for visit in (7, 8):
        folder = tmp_path / f"visit={visit}"
        folder.mkdir()
        stars = make_visit(constant(0.053), constant(0.05), n=300, seed=visit)
        stars.drop(columns="visit").assign(other=1.0).to_parquet(folder / "part-0.parquet")
    survey = read_survey([tmp_path])
    assert np.unique(survey.table["visit"]).tolist() == [7, 8]
    assert measure_ellipticity(survey).metrics["TE1"]["E1"] == pytest.approx(9e-6, rel=0.05)


def test_an_empty_folder_is_no_survey(tmp_path):
    with pytest.raises(TableError, match="no star table"):
        read_survey([tmp_path])


def test_tangent_plane_is_that_of_the_field(make_visit, survey):
    visit = shapes_of_visits(survey(make_visit(constant(0.1), constant(0.1), centre=(0.0, -89.0))))[0][0]
    xi, _ = sky_to_tangent(visit.shapes.ra_deg, visit.shapes.dec_deg, (0.0, -89.0))
    assert np.abs(xi).max() < 3000
    assert visit.shapes.e1 == pytest.approx(np.full(800, 0.1), abs=2e-2)


@pytest.mark.parametrize("centre", [(150.0, -30.0), (0.0, -60.0), (0.0, -89.0), (0.0, 89.9)])
def test_the_one_pass_is_treecorr_pair_by_pair_at_any_place(make_visit, survey, centre):
    import treecorr

    rng = np.random.default_rng(4)

    def noisy(x, _):
        return 0.05 + rng.normal(0, 0.02, x.size) + 1j * rng.normal(0, 0.02, x.size)

    shapes = shapes_of_visits(survey(make_visit(noisy, constant(0.04), n=500, dt=0.03, centre=centre)))[0][
        0
    ].shapes
    catalogs = [
        treecorr.Catalog(
            g1=g.real, g2=-g.imag, ra=shapes.ra_deg, dec=shapes.dec_deg, ra_units="deg", dec_units="deg"
        )
        for g in correlations._rho_fields(shapes)
    ]
    for name, rho in rho_statistics([shapes]).items():
        one, other = correlations._RHO_FIELDS[name]
        gg = treecorr.GGCorrelation(min_sep=0.5, max_sep=300, bin_size=0.1, sep_units="arcmin", brute=True)
        gg.process(catalogs[one], catalogs[other])
        full = np.asarray(gg.npairs) > 0
        np.testing.assert_array_equal(rho.n_pairs, np.asarray(gg.npairs) / 2)
        np.testing.assert_allclose(rho.xi[full], gg.xip[full], rtol=1e-4, atol=1e-4 * np.nanmin(rho.sigma))
        np.testing.assert_allclose(rho.theta_arcmin[full], np.exp(gg.meanlogr)[full], rtol=1e-3)
