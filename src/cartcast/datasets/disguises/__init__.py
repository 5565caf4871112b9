"""One simulated shop in the form of every tracker and in every accident, with its truth.

The oracle of the reader: it imports nothing from `cartcast.events`. `cases` yields the product of
forms and accidents, `write_case` writes one and says what a right reader must give back.
"""

from cartcast.datasets.disguises.accidents import ACCIDENTS, Accident
from cartcast.datasets.disguises.build import make_log
from cartcast.datasets.disguises.form import Form
from cartcast.datasets.disguises.forms import FORMS
from cartcast.datasets.disguises.matrix import Case, Written, cases, product, write_case
from cartcast.datasets.disguises.shop import Event, Line, Order, TrueLog
from cartcast.datasets.disguises.truth import FACTS, Truth, truth_of
from cartcast.datasets.disguises.write import write_form

__all__ = [
    "ACCIDENTS",
    "FACTS",
    "FORMS",
    "Accident",
    "Case",
    "Event",
    "Form",
    "Line",
    "Order",
    "TrueLog",
    "Truth",
    "Written",
    "cases",
    "make_log",
    "product",
    "truth_of",
    "write_case",
    "write_form",
]
