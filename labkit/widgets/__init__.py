"""Views: pictures and widgets of what the machine and the mechanisms hold. Nothing here computes their facts.

Every picture has three faces that say the same: `print(picture)` is text, a saved notebook shows a static
SVG, and JupyterLab shows that SVG in its own theme, to be copied as SVG or as text.
"""
