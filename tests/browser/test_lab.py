"""JupyterLab as labkit sets it up: nothing from other hosts, no errors, no toast, both themes."""

import pytest

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_notebook_opens_and_runs(lab_page, theme: str):
    lab = lab_page(["print('seen ' + 'it')", "2"], theme=theme)
    lab.run_all()
    assert "seen it" in lab.output(0).inner_text()
    assert lab.page.evaluate("document.body.dataset.jpThemeLight") == str(theme == "light").lower()
    assert lab.cell_count() == 2
