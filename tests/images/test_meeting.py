"""Every point of the container meeting (decisions, prompts and action items) has a row here.

A row is a test where code can answer the point; else it says why no code can.
"""

from __future__ import annotations

import datetime as dt
import inspect
import re

import pytest

from lsst_commtools.images import (
    CompatMatrix,
    CompatResult,
    ImageContents,
    LabImages,
    Listing,
    PackageRequest,
    Spelling,
    convert_release,
    diff_contents,
    judge_builds,
    make_menu,
    parse_tag,
    registry,
    sort_tags,
)
from lsst_commtools.images.builds import Build
from lsst_commtools.images.compat import judge_use
from lsst_commtools.images.layers import LayerName, check_layers
from lsst_commtools.images.packages import check_requests
from lsst_commtools.site import Site
from lsst_commtools.site.images import BuildsSection, CompatSection, ImagesSection

NOW = dt.datetime(2026, 6, 7, tzinfo=dt.UTC)
TAGS = [
    "w_2026_18_c0043.006",
    "w_2026_22_c0044.006",
    "w_2026_23_c0044.007",
    "d_2026_06_05_c0044.007",
    "r30_0_10_rsp2991",
]


def contents(**layers):
    return ImageContents("x", {LayerName(name.replace("_", "-")): held for name, held in layers.items()}, {})


def shown(policy, tags=TAGS, digests=None):
    rows = make_menu(
        ImagesSection.model_validate(policy), Listing({**dict.fromkeys(tags), **(digests or {})}), NOW
    )
    return [row.image.tag.tag for row in rows if row.shown]


def packages_are_listed_and_compared():
    change = diff_contents(contents(stack={"numpy": "1.19"}), contents(stack={"numpy": "1.20"}))
    assert [c.new for c in change.updated] == [(LayerName.STACK, "1.20")]


def untested_is_not_compatible():
    assert CompatMatrix().cell("r17_0_1", "qa/night_qa").result is CompatResult.NOT_TESTED
    for level in CompatSection().smoke_levels.values():
        assert judge_use(level, "r17_0_1", ["qa/night_qa"], CompatMatrix()) is not CompatResult.PASSED


def limits_are_the_images_that_a_site_shows():
    assert shown({"numReleases": 1, "numWeeklies": 0, "numDailies": 0}) == ["r30_0_10_rsp2991"]
    newer = {
        "filters": {"release": {"cutoffVersion": "31.0.0"}, "weekly": {"age": "5d"}, "daily": {"number": 0}}
    }
    assert shown(newer) == ["w_2026_23_c0044.007"]


def machinery_and_requested_packages_are_apart():
    mixed = contents(lab={"jupyterlab": "4", "gala": "1"}, third_party={"gala": "1"})
    assert check_layers(mixed) == ["gala lies in the layers third-party and lab."]


def requests_have_a_provenance():
    request = PackageRequest("gala", "Dana", "orbits", dt.date(2026, 5, 1))
    held = contents(third_party={"gala": "1", "galpy": "1"})
    assert check_requests(held, [request], {"test_gala"}) == [
        "Nobody asked for the third-party package galpy.",
        "gala is in the image, but nobody decided on the request of Dana.",
        "No test shows that gala works, which Dana asked for.",
    ]


def the_cake_has_its_layers_in_order():
    assert [layer.value for layer in LayerName] == ["stack", "ts", "third-party", "lab"]
    assert list(BuildsSection().layers) == ["stack", "ts", "lab"]


def extensions_belong_to_the_lab_layer():
    request = PackageRequest("nbdime", "Dana", "diffs", dt.date(2026, 5, 1), "t", "SQuaRE")
    problems = check_requests(contents(lab={"nbdime": "4"}), [request], {"t"})
    assert problems == ["nbdime was asked for by Dana, but lies among the machinery of the lab."]


def sims_is_a_third_party():
    request = PackageRequest("rubin-sim", "Lynne", "survey strategy", dt.date(2026, 5, 1), "t", "DM-CCB")
    assert check_requests(contents(third_party={"rubin-sim": "2"}), [request], {"t"}) == []


def one_python_and_it_is_the_stacks():
    assert check_layers(contents(stack={"python": "3.12"}, lab={"jupyterlab": "4"})) == []
    assert check_layers(contents(stack={}, lab={"python": "3.11"})) == [
        "Python does not come from the stack."
    ]
    assert len(check_layers(contents(stack={"python": "3.12"}, lab={"python": "3.11"}))) == 1


def names_of_releases_can_be_tested():
    assert parse_tag("r22_0_0_rc1_rsp3").problems == ()
    assert parse_tag("v22_0_0").type.value == "unknown"
    assert convert_release("22.0.0", Spelling.LAB) == "r22_0_0"


def several_lab_containers_on_one_stack_are_told_apart():
    tags = sort_tags([parse_tag("r22_0_0_rsp9"), parse_tag("r22_0_0_rsp10")])
    assert [t.rsp_build for t in tags] == [10, 9]
    assert shown({"numWeeklies": 0, "numDailies": 0}, ["r22_0_0_rsp9", "r22_0_0_rsp10"]) == ["r22_0_0_rsp10"]


def only_the_protocol_is_used():
    source = inspect.getsource(registry)
    assert re.findall(r'f"\{self\._url\}(/[^"]*)"', source) == [
        "/v2/{self.repository}/tags/list",
        "/v2/{self.repository}/manifests/{tag}",
    ]


def each_deployment_has_its_own_recommended_image():
    digests = {"recommended": "sha256:" + "a" * 64, "recommended_c0044": "sha256:" + "b" * 64}
    base, usdf = Site.load("base").images, Site.load("usdf").images
    found = [LabImages(Site(name="x", images=p), listing=Listing(digests)).recommended for p in (base, usdf)]
    assert [image.tag.tag for image in found] == ["recommended_c0044", "recommended"]


def each_deployment_has_its_own_approvers(tmp_path):
    listing = Listing(dict.fromkeys([*TAGS, "recommended"]))
    policy = ImagesSection(approvers=("Tiago",), approvals_url=f"sqlite:///{tmp_path / 'a.sqlite3'}")
    images = LabImages(Site(name="summit", images=policy), listing=listing)
    assert images.approve("Tiago").approved
    with pytest.raises(Exception, match="may not approve"):
        images.approve("Frossie")


def builds_are_held_to_three_hours_before_observing():
    def at(hour, minute):
        return dt.datetime(2026, 6, 1, hour, minute, tzinfo=dt.UTC)

    times = {"stack": (at(16, 30), at(18, 0)), "ts": (at(18, 0), at(18, 30)), "lab": (at(18, 30), at(19, 15))}
    builds = [Build(20260601, layer, *when) for layer, when in times.items()]
    assert judge_builds(builds, 20260601, BuildsSection()).status.value == "on-time"
    late = [*builds[:2], Build(20260601, "lab", at(18, 30), at(20, 15))]
    assert judge_builds(late, 20260601, BuildsSection()).status.value == "late"
    assert judge_builds(builds[:2], 20260601, BuildsSection()).status.value == "missing"
    assert BuildsSection().budget == dt.timedelta(hours=3)
    assert str(BuildsSection().deadline_utc) == "20:00:00"


def dailies_follow_each_other_within_one_cycle():
    dailies = [f"d_2026_06_{day:02d}_c0044.007" for day in (3, 4, 5)]
    assert shown({"cycle": 44, "numDailies": 2}, dailies) == dailies[:0:-1]


def a_hotfix_is_experimental_and_shown_where_it_is_pinned():
    assert shown({"pin": ["exp_d_2026_06_05_hotfix"]}, ["exp_d_2026_06_05_hotfix", "exp_x"]) == [
        "exp_d_2026_06_05_hotfix"
    ]


def the_name_tells_stack_and_cycle():
    display = parse_tag("d_2026_06_05_c0044.007").display
    assert display == "Daily 2026_06_05 (SAL Cycle 0044, Build 007)"


def obsolete_cycles_are_not_shown():
    assert shown({"cycle": 44}) == TAGS[2:0:-1] + TAGS[3:4]
    assert shown({"cycle": 45}) == []


def a_build_is_named_by_its_digest():
    digest = "sha256:" + "c" * 64
    listing = Listing({"d_2026_06_05": digest})
    assert listing.image(digest).tag.tag == "d_2026_06_05"


def tags_carry_a_build_time():
    assert parse_tag("d_2026_06_05_c0044.007_20260605T1312Z").built_utc == dt.datetime(
        2026, 6, 5, 13, 12, tzinfo=dt.UTC
    )


def the_suite_runs_on_old_images(tmp_path):
    assert CompatSection().command[-2:] == ("{notebook}", "{output}")
    assert "{environment}" in CompatSection().command[0]


NO_CODE = "no code: "
ROWS = {
    "Historically we used pip": NO_CODE + "history",
    "We now have switched to conda": packages_are_listed_and_compared,
    "What do we do about users": requests_have_a_provenance,
    "Lack of pinning in rubinenv": packages_are_listed_and_compared,
    "We have to clarify with Product Owners the backward": untested_is_not_compatible,
    "We need a technote to explain how that guarantee": untested_is_not_compatible,
    "We are currently unable to guarantee backward": untested_is_not_compatible,
    "Backward compatibility guarantees are meaningless unless tested": untested_is_not_compatible,
    "We should agree on whether": NO_CODE + "heading of the next four",
    "We really want to offer backward compatibility": untested_is_not_compatible,
    "What the limits of it are": limits_are_the_images_that_a_site_shows,
    "Actually add those containers to RoboSimon": the_suite_runs_on_old_images,
    "Routinely rebuild old stack release containers": several_lab_containers_on_one_stack_are_told_apart,
    "SQuaRE will create a process/configuration to cleanly separate": machinery_and_requested_packages_are_apart,
    "SQuaRE will propose a process to DM-CCB": requests_have_a_provenance,
    "SQuaRE/KT to produce a technote describing how to manage 3rd": the_cake_has_its_layers_in_order,
    "JL extensions by users for now have to be owned by SQuaRE": extensions_belong_to_the_lab_layer,
    "We are required to offer popular common astronomical packages": requests_have_a_provenance,
    "Right now nublado machinery and user requested packages": machinery_and_requested_packages_are_apart,
    "Process for dealing with user requests is ad-hoc": requests_have_a_provenance,
    "lsst_sims support in nublado will wait": sims_is_a_third_party,
    "at which point it will be treated as a third party": sims_is_a_third_party,
    "meanwhile users who have asked for lsst_sims": NO_CODE + "access to lsst-dev is given elsewhere",
    "for summit use, for now, people can install": NO_CODE
    + "what people have in their home directories is theirs",
    "the new build engineer could be made available": NO_CODE + "a person's time",
    "There's only one Python 3 on the system": one_python_and_it_is_the_stacks,
    "We use conda for everything we can": packages_are_listed_and_compared,
    "There's only one kernel": one_python_and_it_is_the_stacks,
    "There are currently no pinned builds": packages_are_listed_and_compared,
    "Naming/version convention for stack releases": names_of_releases_can_be_tested,
    "multiple lab containers per stack container": several_lab_containers_on_one_stack_are_told_apart,
    "document naming convention for official releases": names_of_releases_can_be_tested,
    "SQuaRE will write a test class on the python side": names_of_releases_can_be_tested,
    "each time we build a new version of a container": several_lab_containers_on_one_stack_are_told_apart,
    "the above is done for technical reasons": several_lab_containers_on_one_stack_are_told_apart,
    "we should not depend on metadata in Docker Hub": only_the_protocol_is_used,
    "SQuaRE will implement a way for the telescope deployments": each_deployment_has_its_own_recommended_image,
    "Tel deployments need to have different recommendeds": each_deployment_has_its_own_recommended_image,
    "try using the stack": the_cake_has_its_layers_in_order,
    "Currently the cake is": the_cake_has_its_layers_in_order,
    "This is bad, how can we do better": the_cake_has_its_layers_in_order,
    "t&s more integrated with dm than anticipated": NO_CODE + "an observation",
    "there is going to be a daily nublado-tel container build": builds_are_held_to_three_hours_before_observing,
    "we need to establish a time-budget": builds_are_held_to_three_hours_before_observing,
    "we should consult widely and revisit the times": builds_are_held_to_three_hours_before_observing,
    "during-night hotfixes are possible using eups": a_hotfix_is_experimental_and_shown_where_it_is_pinned,
    "similar approach could be taken for non-Science Platform": NO_CODE
    + "the builds section takes any layers",
    "Time budget for fixing something reported overnight": builds_are_held_to_three_hours_before_observing,
    "Higher frequency dm builds on slower cadence t&s builds": dailies_follow_each_other_within_one_cycle,
    "change SQR-056 to specify that NTS is available": NO_CODE + "use of a test stand",
    "when the base teststand is available": NO_CODE + "use of a test stand",
    "Maint windows working well for Tel": NO_CODE + "an observation",
    "NTS is both considered prod and int": NO_CODE + "use of a test stand",
    "versioning for lab-tel containers has to reflect both": the_name_tells_stack_and_cycle,
    "SQuaRE to figure out how to make sure spawner page": obsolete_cycles_are_not_shown,
    "Discuss pinning requirements": packages_are_listed_and_compared,
    "Discuss backward compatibility guarantee with product owners": untested_is_not_compatible,
    "Write a tech note to explain how users get reproducibility": a_build_is_named_by_its_digest,
    "Write a tech note to explain how an intermediate": the_cake_has_its_layers_in_order,
    "Document release (and release candidate) version string format": names_of_releases_can_be_tested,
    "Write code to test that version/tag strings": names_of_releases_can_be_tested,
    "Add build datetime to lab container tags": tags_carry_a_build_time,
    'Allow different "recommended" containers by deployment': each_deployment_has_its_own_recommended_image,
    "Allow non-SQuaRE control over": each_deployment_has_its_own_approvers,
    'Build a daily "tel" container': builds_are_held_to_three_hours_before_observing,
    'Attempt to use the daily "tel" container': the_name_tells_stack_and_cycle,
    "Define a deadline for daily sal-sciplat-lab": builds_are_held_to_three_hours_before_observing,
    "Adjust Jenkins to meet sal-sciplat-lab build completion": builds_are_held_to_three_hours_before_observing,
    "Do not display sal-sciplat-lab containers with an unapproved": obsolete_cycles_are_not_shown,
}


@pytest.mark.parametrize("point", [point for point, answer in ROWS.items() if not isinstance(answer, str)])
def test_the_code_answers(point, tmp_path):
    answer = ROWS[point]
    answer(tmp_path) if inspect.signature(answer).parameters else answer()


def test_points_without_code_say_why():
    for answer in ROWS.values():
        assert not isinstance(answer, str) or len(answer) > len(NO_CODE)


@pytest.mark.data
def test_every_point_of_the_meeting_has_a_row(test_data):
    path = test_data.parent / "seeds" / "nublado-container-meeting.txt"
    if not path.exists():
        pytest.skip("the minutes of the meeting are absent")
    text = path.read_text(encoding="utf-8")
    points = re.findall(r"•\s*(.+)", text[text.index("Discussion items") :])
    assert len(points) == len(ROWS)
    for point, row in zip(points, ROWS, strict=True):
        assert point.startswith(row)
