"""Horizontal bars as SVG, readable on light and dark ground."""

from html import escape

BAR, LABEL, WIDTH, VALUE = 14, 190, 640, 60
COLOURS = ("#2a9d8f", "#8d99ae", "#c9ada7")


def bars(values: dict[str, tuple[float | None, ...]], names: tuple[str, ...], unit: str) -> str:
    """A bar for each name, entry by entry; each entry has a scale of its own, since their sizes differ a hundredfold."""
    known = {label: [(index, value) for index, value in enumerate(group) if value is not None] for label, group in values.items()}
    height = 40 + sum((BAR + 2) * len(group) + 10 for group in known.values())
    room = WIDTH - LABEL - VALUE
    style = "text{font:13px sans-serif;fill:#57606a}@media(prefers-color-scheme:dark){text{fill:#c9d1d9}}"
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">']
    parts.append(f"<style>{style}</style>")
    for index, name in enumerate(names):
        x = LABEL + 130 * index
        parts.append(f'<rect x="{x}" y="8" width="12" height="12" fill="{COLOURS[index]}"/>')
        parts.append(f'<text x="{x + 18}" y="19">{escape(name)}</text>')
    parts.append(f'<text x="0" y="19">{escape(unit)}</text>')
    top = 36
    for label, group in known.items():
        most = max(value for _, value in group)
        parts.append(f'<text x="0" y="{top + BAR + 8}">{escape(label)}</text>')
        for index, value in group:
            length = room * value / most
            parts.append(f'<rect x="{LABEL}" y="{top}" width="{length:.1f}" height="{BAR}" fill="{COLOURS[index]}"/>')
            parts.append(f'<text x="{LABEL + length + 6:.1f}" y="{top + 12}">{value:.0f}</text>')
            top += BAR + 2
        top += 10
    parts.append("</svg>")
    return "\n".join(parts) + "\n"
