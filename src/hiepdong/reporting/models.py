"""Figures read from the reports."""

from django.db import models
from django.db.models import Q

from hiepdong.exchange.models import Dispatch
from hiepdong.organisations.models import Organisation
from hiepdong.regulations.models import Form


class State(models.TextChoices):
    """Three things that must never be mixed up, and the figure itself."""

    VALUE = "value"  # a number, zero included
    NOT_REPORTED = "not_reported"
    NO_NUMBER = "no_number"  # stated in words, without a number


class Precision(models.TextChoices):
    EXACT = "exact"
    ABOUT = "about"  # khoảng
    OVER = "over"  # trên
    NEARLY = "nearly"  # gần


class Figure(models.Model):
    """One indicator in one report."""

    dispatch = models.ForeignKey(Dispatch, models.PROTECT, related_name="figures")
    form = models.ForeignKey(Form, models.PROTECT, related_name="figures")
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="figures")
    instrument_key = models.CharField(max_length=80)
    indicator = models.CharField(max_length=80)  # key in the form
    definition = models.CharField(max_length=80)  # "<indicator>/<version of its way of counting>": compare only equals
    period_from = models.DateField()
    period_to = models.DateField()
    state = models.CharField(max_length=12, choices=State)
    value = models.DecimalField(max_digits=20, decimal_places=4, null=True, blank=True)
    unit = models.CharField(max_length=40)
    precision = models.CharField(max_length=8, choices=Precision, default=Precision.EXACT)
    scope = models.CharField(max_length=200, blank=True)
    text = models.CharField(max_length=500, blank=True)
    superseded = models.BooleanField(default=False)  # its dispatch was replaced, returned or withdrawn

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dispatch", "indicator", "scope"], name="reporting_figure_once"),
            models.CheckConstraint(
                condition=Q(state="value", value__isnull=False) | (~Q(state="value") & Q(value__isnull=True)),
                name="reporting_figure_state",
            ),
            models.CheckConstraint(condition=Q(state__in=State.values), name="reporting_figure_state_known"),
            models.CheckConstraint(condition=Q(precision__in=Precision.values), name="reporting_figure_precision"),
        ]
        indexes = [
            # the review and the list of one regulation; the list of all
            models.Index(fields=["instrument_key", "period_to", "organisation"], name="reporting_figure_review"),
            models.Index(fields=["period_to", "organisation"], name="reporting_figure_period"),
        ]


class PublishedFigure(models.Model):
    """A figure of an earlier year that was published, with its source: the year before, where known."""

    instrument_key = models.CharField(max_length=80)
    indicator = models.CharField(max_length=80)
    definition = models.CharField(max_length=80)
    year = models.PositiveSmallIntegerField()
    value = models.DecimalField(max_digits=20, decimal_places=4)
    unit = models.CharField(max_length=40)
    precision = models.CharField(max_length=8, choices=Precision, default=Precision.EXACT)
    scope = models.CharField(max_length=200, blank=True)
    source = models.CharField(max_length=500)
    verified = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["instrument_key", "indicator", "definition", "year", "scope"], name="reporting_published_once"
            ),
        ]
