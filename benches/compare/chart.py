"""Horizontal bars as SVG, readable on light and dark ground."""

from html import escape

BAR, LABEL, WIDTH, VALUE = 14, 190, 640, 60
COLOURS = ("#2a9d8f", "#8d99ae", "#c9ada7")


def bars(values: dict[str, tuple[float, ...]], names: tuple[str, ...], unit: str) -> str:
    """A bar for each name, entry by entry; each entry has a scale of its own, since their sizes differ a hundredfold."""
    step = (BAR + 2) * len(names) + 10
    height = step * len(values) + 40
    room = WIDTH - LABEL - VALUE
    style = "text{font:13px sans-serif;fill:#57606a}@media(prefers-color-scheme:dark){text{fill:#c9d1d9}}"
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">']
    parts.append(f"<style>{style}</style>")
    for index, name in enumerate(names):
        x = LABEL + 130 * index
        parts.append(f'<rect x="{x}" y="8" width="12" height="12" fill="{COLOURS[index]}"/>')
        parts.append(f'<text x="{x + 18}" y="19">{escape(name)}</text>')
    parts.append(f'<text x="0" y="19">{escape(unit)}</text>')
    for row, (label, group) in enumerate(values.items()):
        top = 36 + step * row
        parts.append(f'<text x="0" y="{top + BAR + 8}">{escape(label)}</text>')
        for index, value in enumerate(group):
            y, length = top + (BAR + 2) * index, room * value / max(group)
            parts.append(f'<rect x="{LABEL}" y="{y}" width="{length:.1f}" height="{BAR}" fill="{COLOURS[index]}"/>')
            parts.append(f'<text x="{LABEL + length + 6:.1f}" y="{y + 12}">{value:.0f}</text>')
    parts.append("</svg>")
    return "\n".join(parts) + "\n"
