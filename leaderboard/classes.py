"""The class in which a submission is ranked: by the most that it uses beyond what an agent itself observes."""

from collections.abc import Collection

# By what a manifest may name under ``information``: the label, and what it means. Who uses more stands further up.
CLASSES = {
    "task-rules": ("knows the rules", "knows the rules of the tasks; shown for scale, not ranked"),
    "centralised-training": ("centralised", "one learner sees all agents while training; agents act alone"),
    "others-actions": ("others' actions", "agents see while training what the others did"),
    "state-labels": ("state labels", "learns from offline data labelled with the hidden state"),
    "own-observations": ("own observations", "each agent learns from its own observations, actions and rewards"),
}


def class_of(information: Collection[str]) -> str:
    """Return the key of the class; a submission that says nothing is taken to use its own observations only."""
    return next((key for key in CLASSES if key in information), "own-observations")
