"""The six sessions on paper: at a glance, run sheets, prediction sheets and their key.

All of it comes from `class_texts/plan.toml` and from the notebooks: a step of a session names
sections of a lesson, and these have the questions and figures.
"""

import re
from collections import defaultdict
from collections.abc import Iterator

from tools.class_lessons import Course, Item, exercises, items, lengths

LINE = "\n\n______________________________________________\n"
NEW_PAGE = '<div style="break-after: page"></div>'
CLEAR = "*Edit ▸ Clear Outputs of All Cells*"


def numbered(plan: dict) -> Iterator[tuple[int, dict, str]]:
    """Yield the sessions of the plan, each with its number and its heading."""
    for number, session in enumerate(plan["session"], start=1):
        yield number, session, f"Session {number} · {session['title']}"


def taught(plan: dict, session: dict, course: Course) -> Iterator[tuple[dict, list[Item]]]:
    """Yield each step of a session with its questions, exercises and outputs.

    Questions are numbered as on the prediction sheet; 0 means that one isn't on it.
    """
    lessons = {lesson.number: list(items(notebook)) for lesson, notebook in course}
    count = 0
    for step in session["step"]:
        found = []
        for item in lessons[step["lesson"]] if "lesson" in step else []:
            if item.kind == "exercise":
                is_used = item.number == step.get("exercise")
            else:
                is_used = item.section in step["sections"]
            if item.kind == "question" and is_used and on_sheet(plan, item):
                count += 1
                item = item._replace(number=count)
            if is_used:
                found.append(item)
        yield step, found


def on_sheet(plan: dict, question: Item) -> str:
    """A question as the prediction sheet words it; "" if it isn't printed."""
    words = by_beginning(plan["on_sheet"], question)
    return question.text if words is None else words


def by_beginning(table: dict[str, str], question: Item) -> str | None:
    """The entry of a plan's table for a question, which is found by its first words."""
    found = [text for words, text in table.items() if question.text.startswith(words)]
    return found[0] if found else None


def lessons_of(session: dict) -> list[str]:
    """The numbers of the lessons that a session takes up, in order."""
    return sorted({step["lesson"] for step in session["step"] if "lesson" in step})


def minutes(session: dict) -> Iterator[tuple[str, dict]]:
    """Yield the steps of a session with their minutes, such as 12–16."""
    begin = 0
    for step in session["step"]:
        yield f"{begin}–{begin + step['minutes']}", step
        begin += step["minutes"]


def work(session: dict, course: Course) -> int:
    """Minutes it takes to read a session's lessons and to do all of their exercises."""
    wanted = lessons_of(session)
    return sum(each.reading + each.exercises for each, _ in course if each.number in wanted)


def homework(session: dict, course: Course) -> tuple[int, str]:
    """The minutes of a session's homework, and a list of it.

    Minutes of exercises are those on their cards. The lesson's minutes of reading are shared out
    by the length of the text.
    """
    lessons = {lesson.number: (lesson, notebook) for lesson, notebook in course}
    total, lines = 0, []
    for part in session["home"]:
        lesson, notebook = lessons[part["lesson"]]
        chosen = [each for each in exercises(notebook) if each.number in part["exercises"]]
        named = ", ".join(f"{each.number} ({each.title})" for each in chosen)
        word = "exercise" if len(chosen) == 1 else "exercises"
        practice = sum(each.minutes for each in chosen)
        share = sum(lengths(notebook)[heading] for heading in part["read"]) / lengths(notebook)[""]
        reading = round(share * lesson.reading)
        sections = ", ".join(f"*{heading}*" for heading in part["read"])
        line = (
            f"- Lesson {lesson.number}: read {sections} ({reading} min); "
            f"{word} {named}, {practice} min. {part.get('also', '')}"
        )
        lines.append(line.rstrip())
        total += reading + practice
    return total, "\n".join(lines)


def where_used(plan: dict) -> dict[tuple[str, int], str]:
    """Where the plan uses an exercise, such as "session 3, at home", by lesson and number."""
    found = defaultdict(list)
    for number, session, _ in numbered(plan):
        for step in session["step"]:
            if "exercise" in step:
                found[step["lesson"], step["exercise"]].append(f"session {number}, in class")
        for part in session["home"]:
            for exercise in part["exercises"]:
                found[part["lesson"], exercise].append(f"session {number}, at home")
    return {exercise: "; ".join(places) for exercise, places in found.items()}


# --- the texts ---


def at_a_glance(plan: dict, course: Course) -> str:
    """Make the table of the six sessions."""
    heads = "| session | lessons | laptops | print | homework | your preparation |"
    lines, at_home, before = [heads, "|---|---|---|---|---|---|"], 0, 0
    for number, session, _ in numbered(plan):
        laptops = [when for when, step in minutes(session) if step.get("laptops")]
        home, own = homework(session, course)[0], work(session, course)
        lines.append(
            f"| {number} · {session['title']} | {', '.join(lessons_of(session))} "
            f"| {', '.join(laptops) or '–'} | {session['print']} | {home} min | {own} min |"
        )
        at_home, before = at_home + home, before + own
    hours = f"about {round(at_home / 60)} hours | about {round(before / 60)} hours"
    return "\n".join([*lines, f"| **in all** | | | | {hours} |"])


def run_sheets(plan: dict, course: Course) -> str:
    """Make one page per session: everything a teacher needs in class."""
    parts = ["# Run sheets"]
    for _, session, heading in numbered(plan):
        parts += [f"## {heading}", run_sheet(plan, session, course), NEW_PAGE]
    return "\n\n".join(parts[:-1]) + "\n"


def run_sheet(plan: dict, session: dict, course: Course) -> str:
    """One session: goal, preparation, steps with what to expect, homework, and how to fit it in."""
    lessons = " and ".join(lessons_of(session))
    rows = ["| minutes | what | expect |", "|---|---|---|"]
    taken_up = taught(plan, session, course)
    slide = 2  # the first has the title
    for (when, step), (_, found) in zip(minutes(session), taken_up, strict=True):
        numbers = [str(each.number) for each in found if each.kind == "question" and each.number]
        sections = " / ".join(step.get("sections", ()))
        where = f"**{step['lesson']} · {sections}** · " if sections else ""
        how = step["how"] + ("; **laptops**" if step.get("laptops") else "")
        sheet = f" Predictions: {', '.join(numbers)}." if numbers else ""
        expect = step.get("vote") or (f"See the key: {', '.join(numbers)}." if numbers else "")
        what = f"{where}{step['what']}{sheet}{name_slides(slide, len(found))} *({how})*"
        slide += len(found)
        rows.append(f"| {when} | {what} | {expect} |")
    at_home, list_of_it = homework(session, course)
    prepare = [f"run all of {lessons}, then {CLEAR}", f"print {session['print']}"]
    return "\n\n".join(
        [
            f"**At the end**, learners can {session['goal']}.",
            "**Prepare**",
            "\n".join(f"- {line}" for line in [*prepare, *session["prepare"]]),
            "\n".join(rows),
            f"**To close:** {session['question']} *A good answer:* {session['answer']}",
            f"**At home** ({at_home} min)\n\n{list_of_it}",
            f"**Short of time?** {session['short']} **Time left?** {session['quick']}",
        ]
    )


def name_slides(first: int, count: int) -> str:
    """The sentence that says which slides a step needs; "" if it needs none."""
    if count == 0:
        return ""
    return f" Slide {first}." if count == 1 else f" Slides {first}–{first + count - 1}."


def predictions(plan: dict, course: Course) -> str:
    """Make one sheet per session for learners: its questions, and room for an answer to each."""
    parts = ["# Prediction sheets"]
    for _, session, heading in numbered(plan):
        parts += [f"## {heading}", "Name: ______________________"]
        parts.append("Write down your prediction *before* you see the result. Being wrong is fine.")
        for item in asked(plan, session, course):
            question = on_sheet(plan, item)
            parts.append(f"**{item.number}.** {question}{LINE * room_for(question)}")
        parts.append(NEW_PAGE)
    return "\n\n".join(parts[:-1]) + "\n"


def room_for(question: str) -> int:
    """How many lines the sheet leaves for an answer: more where several things are asked."""
    asks = question.count("?") + 2 * len(re.findall(r"\b(?:[Ss]ketch|[Ss]ort|[Rr]ank)\b", question))
    return min(4, max(1, asks))


def predictions_key(plan: dict, course: Course) -> str:
    """Make the key to the prediction sheets: how each lesson's text answers its questions."""
    parts = [
        "# Predictions · key",
        "For teachers: what the lesson says after it shows the result, or what to look for. "
        "(The figures, tables and printed lines that an answer mentions are in the notebook.)",
    ]
    for _, session, heading in numbered(plan):
        parts.append(f"## {heading}")
        for item in asked(plan, session, course):
            answer = by_beginning(plan["key"], item) or item.answer
            quoted = "\n".join(f"> {line}" for line in answer.splitlines())
            parts.append(f"**{item.number}.** {on_sheet(plan, item)}\n\n{quoted}")
    return "\n\n".join(parts) + "\n"


def asked(plan: dict, session: dict, course: Course) -> list[Item]:
    """The questions on the prediction sheet of a session."""
    found = [item for _, of_step in taught(plan, session, course) for item in of_step]
    return [item for item in found if item.kind == "question" and item.number]
