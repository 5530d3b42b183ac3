"""The sheets of the concept quiz, and its key."""

import random

LETTERS = "ABCD"


def options(question: dict, when: str) -> list[tuple[str, str]]:
    """A question's options in the order of one sheet: (text, misconception; "" for the right one).

    The right one goes where `places` says; the others are shuffled, always in the same way.
    """
    mixed = [*map(tuple, question["wrong"])]
    random.Random(f"{when}: {question['text']}").shuffle(mixed)
    place = question["places"][("before", "after").index(when)]
    mixed.insert(LETTERS.index(place), (question["right"], ""))
    return mixed


def quiz_sheet(quiz: list[dict], when: str) -> str:
    """The sheet for learners; `when` is "before" or "after"."""
    lines = [
        f"# Quiz · {when} the course",
        "Name: ______________________ Date: ______________",
        "Choose one answer per question. The quiz isn't graded. If you don't know, check the "
        "last box.",
    ]
    for number, question in enumerate(quiz, start=1):
        lines.append(f"**{number}.** {question['text']}")
        mixed = options(question, when)
        choices = [f"☐ {letter}. {text}" for letter, (text, _) in zip(LETTERS, mixed)]
        lines.append("  \n".join([*choices, "☐ I do not know yet."]))
    return "\n\n".join(lines) + "\n"


def quiz_key(quiz: list[dict]) -> str:
    """The teacher's key: right answers of both sheets, and what each wrong one stands for."""
    parts = ["# Quiz · key", "For teachers. Each sheet has the options in a different order."]
    for number, question in enumerate(quiz, start=1):
        letters = {
            when: {text: letter for letter, (text, _) in zip(LETTERS, options(question, when))}
            for when in ("before", "after")
        }
        rows = ["| before | after | option | what it stands for |", "|---|---|---|---|"]
        for text, means in [(question["right"], "**right**"), *question["wrong"]]:
            row = f"| {letters['before'][text]} | {letters['after'][text]} | {text} | {means} |"
            rows.append(row)
        parts += [f"**{number}.** {question['text']}", "\n".join(rows)]
        parts.append(f"Go back to: lesson {question['lesson']}.")
    return "\n\n".join(parts) + "\n"
