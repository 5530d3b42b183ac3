"""The slides of a session, made from the plan and the notebooks, for a room without Python."""

import html

from tools.class_lessons import Course, Item
from tools.class_pages import document, rendered
from tools.class_sessions import homework, on_sheet, taught

STYLE = """\
html { scroll-snap-type: y proximity; }
body { margin: 0; font: clamp(1rem, 2.2vw, 2.4rem)/1.4 sans-serif; color: #222;
  counter-reset: slide; }
section { box-sizing: border-box; min-height: 100vh; padding: 3vh 5vw; scroll-snap-align: start;
  display: flex; flex-direction: column; justify-content: safe center; break-after: page;
  position: relative; counter-increment: slide; }
h1 { font-size: 2em; }
h2 { font-size: 1.4em; margin: 0 0 2vh; }
header { color: #666; font-size: max(0.6em, 0.8rem); }
img { display: block; width: 100%; max-height: 80vh; object-fit: contain; }
pre { font-size: 0.9em; }
.wrapped pre { white-space: pre-wrap; }
code { font-size: 0.9em; }
pre code { font-size: inherit; }
table { border-collapse: collapse; font-size: 0.9em; }
th, td { border: 1px solid #999; padding: 0.2em 0.5em; text-align: left; }
.wide { overflow-x: auto; }
.anchor-link { display: none; }
section::after { content: counter(slide); position: absolute; right: 2vw; bottom: 2vh;
  color: #666; font-size: max(0.6em, 0.8rem); }
"""
TURN_PAGES = """\
<script>
const slides = [...document.querySelectorAll("section")];
for (const slide of slides) { // smaller letters where a slide is too full
  const box = slide.querySelector(".wide");
  const isTooWide = () => box?.scrollWidth > box?.clientWidth;
  const isTooFull = () => slide.scrollHeight > innerHeight || isTooWide();
  for (let size = 95; size >= 60 && isTooFull(); size -= 5) slide.style.fontSize = `${size}%`;
  if (isTooWide()) slide.classList.add("wrapped");
}
addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowDown: 1, PageDown: 1, " ": 1, ArrowLeft: -1, ArrowUp: -1,
    PageUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const now = slides.findIndex((slide) => slide.getBoundingClientRect().bottom > 10);
  slides[Math.min(slides.length - 1, Math.max(0, now + step))].scrollIntoView();
});
</script>
"""


def deck(plan: dict, number: int, course: Course) -> str:
    """Make the slides of a session: a page for each question, output and exercise in its order."""
    session = plan["session"][number - 1]
    title = html.escape(f"Session {number} · {session['title']}")
    slides = [f"<h1>{title}</h1>"]
    for _, found in taught(plan, session, course):
        slides += [slide(plan, item) for item in found]
    slides.append(f"<h2>To close</h2>{rendered(session['question'])}")
    slides.append(f"<h2>At home</h2>{rendered(homework(session, course)[1])}")
    made = "\n".join(f"<section>{each}</section>" for each in slides)
    return document(title, STYLE, made + TURN_PAGES)


def slide(plan: dict, item: Item) -> str:
    """One question, exercise or output as a slide; a question as on the prediction sheet."""
    is_on_sheet = item.kind == "question" and item.number
    number = f" · prediction {item.number}" if is_on_sheet else ""
    text = on_sheet(plan, item) if is_on_sheet else item.text
    header = f"<header>{html.escape(item.section)}{number}</header>"
    return f'{header}<div class="wide">{rendered(text)}</div>'
