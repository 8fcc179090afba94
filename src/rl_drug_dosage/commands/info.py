"""``rl-drug-dosage info``."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["command"]


def command(
    model_path: Annotated[Path | None, typer.Option(help="Show what this model file says of itself instead.")] = None,
) -> None:
    """Show the project, its environments and its defaults, or what is in a model file.

    Example: rl-drug-dosage info --model-path models/agent.pt
    """
    from rich.console import Console

    console = Console()
    if model_path is not None:
        import json

        from rl_drug_dosage.agents.model_file import load_model

        console.print_json(json.dumps(load_model(model_path).record))
        return

    import platform
    from importlib.metadata import version

    from rich.table import Table

    from rl_drug_dosage.envs import _catalog
    from rl_drug_dosage.utils.runtime import cache_folder

    console.print(f"rl-drug-dosage {version('rl-drug-dosage')}: dosing policies trained with PPO on virtual patients")
    console.print("For research and education only; nothing here is meant to treat a patient.")
    console.print(f"Python {platform.python_version()}, JAX {version('jax')}, Gymnasium {version('gymnasium')}")
    console.print(f"compiled programs are kept in {cache_folder()}", soft_wrap=True)
    for env_id in _catalog.ids():
        env = _catalog.find(env_id)
        if env is None:
            continue
        functional = env.make()
        (low,), (high,) = functional.action_bounds
        window, axes = functional.window, functional.axes
        console.print(f"\n[bold]{env_id}[/bold]: {env.title}")
        console.print(f"  dose from {low:g} to {high:g} {axes['dose'].unit}, {functional.horizon} {axes['time'].unit}")
        console.print(f"  therapeutic window {window.low:g} to {window.high:g} {axes['concentration'].unit}")
        table = Table("option", "default", "in training and evaluation")
        for name, default in env.options().items():
            table.add_row(name, str(default), str(env.training_options.get(name, default)))
        console.print(table)
