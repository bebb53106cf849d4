"""Horizontal bars as SVG, readable on light and dark ground."""

from html import escape

ROW, BAR, LABEL, WIDTH, VALUE = 46, 16, 190, 640, 60
COLOURS = ("#2a9d8f", "#8d99ae")


def bars(values: dict[str, tuple[float, ...]], names: tuple[str, ...], unit: str) -> str:
    """A pair of bars for each entry; each entry has a scale of its own, since their sizes differ a hundredfold."""
    height = ROW * len(values) + 40
    room = WIDTH - LABEL - VALUE
    style = "text{font:13px sans-serif;fill:#57606a}@media(prefers-color-scheme:dark){text{fill:#c9d1d9}}"
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">']
    parts.append(f"<style>{style}</style>")
    for index, name in enumerate(names):
        x = LABEL + 150 * index
        parts.append(f'<rect x="{x}" y="8" width="12" height="12" fill="{COLOURS[index]}"/>')
        parts.append(f'<text x="{x + 18}" y="19">{escape(name)}</text>')
    parts.append(f'<text x="0" y="19">{escape(unit)}</text>')
    for row, (label, pair) in enumerate(values.items()):
        top = 36 + ROW * row
        parts.append(f'<text x="0" y="{top + BAR + 4}">{escape(label)}</text>')
        for index, value in enumerate(pair):
            y, length = top + (BAR + 2) * index, room * value / max(pair)
            parts.append(f'<rect x="{LABEL}" y="{y}" width="{length:.1f}" height="{BAR}" fill="{COLOURS[index]}"/>')
            parts.append(f'<text x="{LABEL + length + 6:.1f}" y="{y + 13}">{value:.0f}</text>')
    parts.append("</svg>")
    return "\n".join(parts) + "\n"
