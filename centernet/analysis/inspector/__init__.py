"""What the detector sees: one page per dataset with heatmaps, peaks, and why objects are missed.

The page is one file that needs neither a server nor a network: ``page.html``, ``style.css``, and
``script.js`` and its fellows, with the numbers of :mod:`centernet.analysis.inspector.look` put in.
"""

from centernet.analysis.inspector.look import Example, Findings, Maps, look
from centernet.analysis.inspector.page import Page
from centernet.analysis.inspector.reasons import Reason, Verdict, explain

__all__ = ["Example", "Findings", "Maps", "Page", "Reason", "Verdict", "explain", "look"]
