"""The calendar feed: duties as all-day events on their last day on time, with the reminders as alarms (RFC 5545)."""

from collections.abc import Iterable
from datetime import datetime, time, timedelta
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _
from icalendar import Alarm, Calendar, Event

from hiepdong.duties.queries import last_local_day, reminders_of
from hiepdong.kernel.moments import at_local

MORNING = time(7, 30)  # offices open


def calendar_file(entries: Iterable[Any], *, seat: Any, at: datetime, base: str) -> bytes:
    """Return the iCalendar file of the duties; `base` is the address of this node."""
    calendar = Calendar()
    calendar.add("prodid", "-//hiepdong//VI")
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", f"Hiệp đồng · {seat.organisation.name}")
    for duty in entries:
        day = last_local_day(duty)
        owed = duty.debtor_id == seat.organisation_id
        other = duty.creditor if owed else duty.debtor
        event = Event()
        event.add("uid", f"{duty.reference}@hiepdong")
        event.add("dtstamp", at)
        event.add("dtstart", day)
        event.add("dtend", day + timedelta(days=1))
        title = _("Send to %(who)s: %(what)s") if owed else _("Wait for %(who)s: %(what)s")
        event.add("summary", title % {"who": other.name, "what": f"{duty.rule.title} ({duty.occasion})"})
        event.add("description", f"{duty.status_name}. {_('Clause')} {duty.rule.clause}.")
        event.add("url", base + reverse("duties:duty_detail", args=[duty.pk]))
        event.add("transp", "TRANSPARENT")
        if owed and duty.fulfilled_at is None:
            for on in reminders_of(duty):
                alarm = Alarm()
                alarm.add("action", "DISPLAY")
                alarm.add("description", event["summary"])
                alarm.add("trigger", at_local(on, MORNING))
                event.add_component(alarm)
        calendar.add_component(event)
    return calendar.to_ical()
