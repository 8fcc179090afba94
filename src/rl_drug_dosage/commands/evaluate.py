"""``rl-drug-dosage evaluate``."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rl_drug_dosage.training.episodes import Episodes

__all__ = ["command"]

_TRACKING = "Weights & Biases"
_FIRST = 10


def command(  # noqa: PLR0917 - the options of a command line
    model_path: Annotated[Path, typer.Option(help="Path to trained model (.pt file).", show_default=False)],
    output_dir: Annotated[
        Path | None, typer.Option(help="Output directory for plots.", show_default="model's directory")
    ] = None,
    num_episodes: Annotated[int, typer.Option(help="Number of evaluation episodes.")] = 1,
    seed: Annotated[int, typer.Option(help="Random seed; its patients are never those of training.")] = 1,
    device: Annotated[str, typer.Option(help="Device (cpu/cuda).")] = "cpu",
    save_data: Annotated[bool, typer.Option("--save-data", help="Save rollout data as CSV.")] = False,
    deterministic: Annotated[bool, typer.Option(help="Use mean action (deterministic).")] = True,
    track: Annotated[
        bool, typer.Option("--track", help="Track with Weights & Biases.", rich_help_panel=_TRACKING)
    ] = False,
    wandb_project: Annotated[str, typer.Option(help="W&B project name.", rich_help_panel=_TRACKING)] = "rl-drug-dosage",
    wandb_entity: Annotated[str | None, typer.Option(help="W&B entity (team/user).", rich_help_panel=_TRACKING)] = None,
    wandb_run_id: Annotated[str | None, typer.Option(help="W&B run ID to resume.", rich_help_panel=_TRACKING)] = None,
    wandb_tags: Annotated[str | None, typer.Option(help="Comma-separated W&B tags.", rich_help_panel=_TRACKING)] = None,
) -> None:
    """Evaluate a trained policy on held-out patients.

    Example: rl-drug-dosage evaluate --model-path models/agent.pt --num-episodes 10 --save-data
    """
    from rl_drug_dosage.utils.runtime import configure

    configure(device)

    from rl_drug_dosage.training.evaluate import EvaluationOptions, evaluate
    from rl_drug_dosage.utils.wandb import WandbOptions

    tags = tuple(t for t in (t.strip() for t in (wandb_tags or "").split(",")) if t)
    wandb = WandbOptions(
        project=wandb_project, entity=wandb_entity, tags=tags, run_id=wandb_run_id, job_type="evaluate"
    )
    result = evaluate(
        EvaluationOptions(
            model_path=model_path,
            output_dir=output_dir,
            num_episodes=num_episodes,
            seed=seed,
            deterministic=deterministic,
            save_data=save_data,
            wandb=wandb if track else None,
        ),
        say=typer.echo,
    )
    _show(result.episodes, f"{result.model.env_id}, {'deterministic' if deterministic else 'stochastic'}, seed {seed}")
    for path in result.files:
        typer.echo(path)


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
    """A dash where the environment has no window."""
    return "-" if math.isnan(share) else f"{share:.{digits}f}"
