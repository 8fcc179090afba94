"""``rl-drug-dosage evaluate``."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rl_drug_dosage import api
from rl_drug_dosage.commands._burden_table import show_burden
from rl_drug_dosage.utils.defaults import defaults_of
from rl_drug_dosage.utils.printable import say

if TYPE_CHECKING:
    from rl_drug_dosage.training.episodes import Episodes

__all__ = ["command"]

_TRACKING = "Weights & Biases"
_OWN = "Models trained on your own scenario or environment"
_FIRST = 10
_DEFAULT = defaults_of(api.evaluate)


def command(  # noqa: PLR0917 - the options of a command line
    model_path: Annotated[
        Path, typer.Option(help="Path to trained model (.pt file), or a run folder.", show_default=False)
    ],
    output_dir: Annotated[
        Path | None, typer.Option(help="Output directory for plots.", show_default="model's directory")
    ] = None,
    num_episodes: Annotated[int, typer.Option(help="Number of evaluation episodes.")] = _DEFAULT["num_episodes"],
    seed: Annotated[int, typer.Option(help="Random seed; patients are disjoint from training.")] = _DEFAULT["seed"],
    device: Annotated[str, typer.Option(help="Device (cpu/cuda).")] = _DEFAULT["device"],
    save_data: Annotated[bool, typer.Option("--save-data", help="Save rollout data as CSV.")] = _DEFAULT["save_data"],
    deterministic: Annotated[bool, typer.Option(help="Use mean action (deterministic).")] = _DEFAULT["deterministic"],
    scenario: Annotated[
        str | None, typer.Option(help="The scenario file.", rich_help_panel=_OWN, show_default=False)
    ] = _DEFAULT["scenario"],
    env_id: Annotated[
        str | None,
        typer.Option(
            help="The environment: module:Id-v0 imports the module that registers it.",
            rich_help_panel=_OWN,
            show_default=False,
        ),
    ] = _DEFAULT["env_id"],
    env_kwargs: Annotated[
        str | None,
        typer.Option(
            help="Its options as in training, a JSON object: needed where some are text.",
            rich_help_panel=_OWN,
            show_default=False,
        ),
    ] = _DEFAULT["env_kwargs"],
    simulator: Annotated[
        str | None,
        typer.Option(
            help="Drug model that simulates the patients: a name or a file.",
            rich_help_panel=_OWN,
            show_default="the one used in training",
        ),
    ] = _DEFAULT["simulator"],
    controller: Annotated[
        str | None,
        typer.Option(
            help="Drug model of the policy's Bayesian estimate, if the scenario does not list it.",
            rich_help_panel=_OWN,
            show_default=False,
        ),
    ] = _DEFAULT["controller"],
    accept_changed: Annotated[
        bool,
        typer.Option(
            "--accept-changed", help="Evaluate although the file has changed since training.", rich_help_panel=_OWN
        ),
    ] = _DEFAULT["accept_changed"],
    eval_max_steps: Annotated[
        int,
        typer.Option(
            help="Cut an episode of your own environment after N steps (0: after 2,000 if it has no time limit).",
            rich_help_panel=_OWN,
        ),
    ] = _DEFAULT["eval_max_steps"],
    track: Annotated[
        bool, typer.Option("--track", help="Track with Weights & Biases.", rich_help_panel=_TRACKING)
    ] = _DEFAULT["track"],
    wandb_project: Annotated[str, typer.Option(help="W&B project name.", rich_help_panel=_TRACKING)] = _DEFAULT[
        "wandb_project"
    ],
    wandb_entity: Annotated[
        str | None, typer.Option(help="W&B entity (team/user).", rich_help_panel=_TRACKING)
    ] = _DEFAULT["wandb_entity"],
    wandb_run_id: Annotated[
        str | None, typer.Option(help="W&B run ID to resume.", rich_help_panel=_TRACKING)
    ] = _DEFAULT["wandb_run_id"],
    wandb_tags: Annotated[
        str | None, typer.Option(help="Comma-separated W&B tags.", rich_help_panel=_TRACKING)
    ] = _DEFAULT["wandb_tags"],
) -> None:
    """Evaluate a trained policy on held-out patients.

    Example: rl-drug-dosage evaluate --model-path models/agent.pt --num-episodes 10 --save-data
    """
    from rl_drug_dosage.utils.progress import printed

    with printed() as progress:
        result = api.evaluate(
            model_path,
            num_episodes=num_episodes,
            seed=seed,
            deterministic=deterministic,
            scenario=scenario,
            env_id=env_id,
            env_kwargs=env_kwargs,
            simulator=simulator,
            controller=controller,
            accept_changed=accept_changed,
            eval_max_steps=eval_max_steps,
            output_dir=output_dir or (model_path if model_path.is_dir() else model_path.parent),
            save_data=save_data,
            track=track,
            wandb_project=wandb_project,
            wandb_entity=wandb_entity,
            wandb_run_id=wandb_run_id,
            wandb_tags=wandb_tags,
            device=device,
            progress=progress,
        )
    _show(result.episodes, f"{result.model.env_id}, {'deterministic' if deterministic else 'stochastic'}, seed {seed}")
    if result.record:
        from rich.console import Console

        show_burden(Console(), result.record)
    for path in result.files:
        say(path)


def _show(episodes: "Episodes", title: str) -> None:
    from rl_drug_dosage.training.episodes import summarize
    from rl_drug_dosage.utils.tables import Column, show_table

    found = list(zip(episodes.returns, episodes.lengths, episodes.in_range_pct, strict=True))
    rows = [
        (str(number), f"{reward:.2f}", str(steps), _percent(share, 1))
        for number, (reward, steps, share) in enumerate(found[:_FIRST], start=1)
    ]
    if len(found) > _FIRST:
        rows.append(("...", "...", "...", "..."))
    s = summarize(episodes)
    mean = f"{s.mean_reward:.2f} +- {s.std_reward:.2f}"
    rows.append((f"mean of {len(found):,}", mean, f"{s.mean_length:.1f}", _percent(s.in_range_pct, 2)))
    columns = [Column("episode", key=True), *map(Column, ("reward", "steps", "in range (%)"))]
    show_table(columns, rows, title=title, last_apart=True)


def _percent(share: float, digits: int) -> str:
    """The share in percent; a dash if the environment has no window."""
    return "-" if math.isnan(share) else f"{share:.{digits}f}"
