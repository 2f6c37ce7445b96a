"""Figures of a night."""


def night_figures(summaries, visits, camera):
    return []
