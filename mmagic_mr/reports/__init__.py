"""From a test run to what people read.

`run`: the test run around MMagic's loop; `results`: its JSON file; `table`: runs side
by side, as text and Markdown; `page`: the same as one HTML file; `report`: both,
written to a folder; `collage`: pictures; `paper`: the numbers of the paper.
"""
