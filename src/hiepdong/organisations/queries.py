"""Reading organisations. Organisations and units are public to everyone signed in."""

from .models import Superior


def subtree_ids(organisation_id: int) -> frozenset[int]:
    """Return the organisation and every body that ever stood below it, by dated superiors."""
    children: dict[int, list[int]] = {}
    for child, parent in Superior.objects.values_list("organisation_id", "superior_id"):
        children.setdefault(parent, []).append(child)
    found = {organisation_id}
    todo = [organisation_id]
    while todo:
        for child in children.get(todo.pop(), ()):
            if child not in found:
                found.add(child)
                todo.append(child)
    return frozenset(found)
