"""Pipelines of diffusers with random weights, saved in the test and loaded as a user's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from distributed.sampling.adapters import generator_fields, open_generator
from distributed.sampling.generator import InvalidImage
from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from schemas.errors import ModelError
from schemas.spec.generators import GeneratorSpec
from tests.support.small_world import LANDMARKS, SmallWorld

# Deprecations within the libraries do not matter here.
pytestmark = pytest.mark.filterwarnings("ignore")


def scheduler() -> Any:
    from diffusers import DDIMScheduler

    kind: Any = DDIMScheduler
    return kind(steps_offset=1, clip_sample=False)


@pytest.fixture(scope="module")
def ddim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unconditional pipeline of 16×16 images."""
    from diffusers import DDIMPipeline, UNet2DModel

    torch.manual_seed(0)
    network: Any = UNet2DModel
    unet = network(
        sample_size=16,
        layers_per_block=1,
        block_out_channels=(8, 16),
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
    )
    path = tmp_path_factory.mktemp("ddim")
    pipeline: Any = DDIMPipeline
    pipeline(unet=unet, scheduler=scheduler()).save_pretrained(path)
    return path


def decoder(channels: int = 4) -> Any:
    from diffusers import AutoencoderKL

    network: Any = AutoencoderKL
    return network(latent_channels=channels, block_out_channels=(8,), norm_num_groups=4, sample_size=16)


@pytest.fixture(scope="module")
def dit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A class-conditional pipeline."""
    from diffusers import DiTPipeline, DiTTransformer2DModel

    torch.manual_seed(0)
    network: Any = DiTTransformer2DModel
    transformer = network(
        sample_size=16,
        in_channels=4,
        out_channels=8,
        num_layers=1,
        num_attention_heads=2,
        attention_head_dim=8,
        num_embeds_ada_norm=1000,
        patch_size=4,
    )
    # Freshly made, the layers that the class acts through are zero.
    for weights in transformer.parameters():
        torch.nn.init.normal_(weights, std=0.1)
    path = tmp_path_factory.mktemp("dit")
    pipeline: Any = DiTPipeline
    pipeline(transformer=transformer, vae=decoder(), scheduler=scheduler()).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stable Diffusion in miniature, with a tokenizer of a few letters and a safety checker."""
    from diffusers import StableDiffusionPipeline, UNet2DConditionModel
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("text")
    letters = [chr(97 + i) for i in range(26)]
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokens: Any = CLIPTokenizer
    tokenizer = tokens(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=16)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    settings: Any = CLIPTextConfig
    encoder: Any = CLIPTextModel
    unet: Any = UNet2DConditionModel
    checker: Any = StableDiffusionSafetyChecker
    whole: Any = CLIPConfig
    pipeline: Any = StableDiffusionPipeline
    pipeline(
        vae=decoder(),
        text_encoder=encoder(settings(vocab_size=len(words), max_position_embeddings=16, **sizes)),
        tokenizer=tokenizer,
        unet=unet(
            sample_size=16,
            block_out_channels=(8, 16),
            layers_per_block=1,
            norm_num_groups=4,
            cross_attention_dim=16,
            attention_head_dim=4,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        ),
        scheduler=scheduler(),
        safety_checker=checker(
            whole(vision_config=sizes | {"image_size": 32, "patch_size": 8}, projection_dim=8)
        ),
        feature_extractor=CLIPImageProcessor(size=32, crop_size=32),
    ).save_pretrained(folder / "pipeline")
    return folder / "pipeline"


def generator(path: Path, **fields: Any) -> Any:
    raw = {"kind": "diffusers", "path": str(path), "steps": 2} | fields
    return TypeAdapter(GeneratorSpec).validate_python(raw)


def images(spec: Any, ids: list[int]) -> list[Any]:
    return list(open_generator(spec, 3, device="cpu", threads=1).sample(np.array(ids, np.int64)))


def test_a_sample_is_a_function_of_its_id(ddim: Path) -> None:
    together = images(generator(ddim), [4, 0, 7])
    for image, index in zip(together, (4, 0, 7), strict=True):
        assert image.shape == (16, 16, 3)
        np.testing.assert_array_equal(images(generator(ddim), [index])[0], image)
    assert not np.array_equal(together[0], together[1])


def test_it_is_the_pipelines_own_image(ddim: Path) -> None:
    from diffusers import DDIMPipeline

    from distributed.sampling.networks.diffusers_pipeline import SEEDS
    from distributed.sampling.networks.latents import stream_of, uniform_integers

    seed = int(uniform_integers(3, np.array([5]), SEEDS, stream_of("torch.Generator"))[0])
    loader: Any = DDIMPipeline
    pipeline = loader.from_pretrained(ddim)
    pipeline.set_progress_bar_config(disable=True)
    made = pipeline(generator=torch.Generator("cpu").manual_seed(seed), num_inference_steps=2).images[0]
    np.testing.assert_array_equal(images(generator(ddim), [5])[0], np.asarray(made))


def test_classes_are_crossed_with_seeds(dit: Path) -> None:
    swept = images(generator(dit, factors={"label": [1, 9]}), [0, 1, 2, 3])
    for place, label in enumerate((1, 9)):
        alone = images(generator(dit, label=label), [0, 1])
        np.testing.assert_array_equal(swept[place], alone[0])
        np.testing.assert_array_equal(swept[place + 2], alone[1])
    assert not np.array_equal(swept[0], swept[1])


def test_what_the_safety_checker_keeps_back_is_withheld(text: Path) -> None:
    """With all thresholds below any cosine it withholds everything; above, nothing."""
    from safetensors.torch import load_file, save_file

    file = text / "safety_checker" / "model.safetensors"
    weights = load_file(file)
    for threshold, withheld in ((-2.0, True), (2.0, False)):
        flat = {n: torch.full_like(w, threshold) for n, w in weights.items() if n.endswith("_weights")}
        changed = weights | flat
        save_file(changed, file, metadata={"format": "pt"})
        samples = images(generator(text, factors={"prompt": ["a face", "nobody"]}), [0, 1])
        kept = [isinstance(sample, InvalidImage) and sample.outcome == "withheld" for sample in samples]
        assert kept == [withheld] * 2


def test_prompts_change_the_image_and_the_fingerprint(text: Path) -> None:
    samples = images(generator(text, factors={"prompt": ["a face", "zzzzzz"]}), [0, 1])
    if not any(isinstance(sample, InvalidImage) for sample in samples):
        assert not np.array_equal(samples[0], samples[1])
    fields = [generator_fields(generator(text, prompt=prompt)) for prompt in ("a", "b", "a")]
    assert fields[0] != fields[1] and fields[0] == fields[2]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"prompt": "a face"}, "takes no prompt"),
        ({"label": 3}, "takes no label"),
        ({"factors": {"guidance": [1.0]}}, "takes no guidance"),
    ],
)
def test_what_the_pipeline_does_not_take_is_refused(ddim: Path, fields: Any, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        images(generator(ddim, **fields), [0])


def test_what_the_pipeline_needs_is_asked_for(dit: Path, text: Path) -> None:
    for path, name in ((dit, "label"), (text, "prompt")):
        with pytest.raises(ModelError, match=f"needs generator.{name}"):
            images(generator(path), [0])
    with pytest.raises(ValidationError):
        generator(text, factors={"prompt": [1]})


def copy(source: Path, target: Path) -> Path:
    import shutil

    shutil.copytree(source, target)
    return target


def test_folders_with_code_or_pickles_are_refused(ddim: Path, tmp_path: Path) -> None:
    with_code = copy(ddim, tmp_path / "code")
    (with_code / "pipeline.py").write_text("raise SystemExit")
    foreign = copy(ddim, tmp_path / "foreign")
    index = json.loads((foreign / "model_index.json").read_text())
    (foreign / "model_index.json").write_text(json.dumps(index | {"unet": ["my_package", "Net"]}))
    mapped = copy(ddim, tmp_path / "mapped")
    config = json.loads((mapped / "unet" / "config.json").read_text())
    (mapped / "unet" / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "evil.Net"}}))
    pickled = copy(ddim, tmp_path / "pickled")
    weights = pickled / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    (tmp_path / "empty").mkdir()
    for name, says in (
        ("code", "pipeline.py is code"),
        ("foreign", "comes from 'my_package'"),
        ("mapped", "names code"),
        ("pickled", "must hold safetensors"),
        ("empty", "save_pretrained"),
    ):
        with pytest.raises(ModelError, match=says):
            images(generator(tmp_path / name), [0])


@pytest.mark.usefixtures("in_process")
@pytest.mark.slow
def test_a_pipeline_is_audited(small_world: SmallWorld, ddim: Path) -> None:
    given = {"kind": "diffusers", "path": str(ddim), "steps": 1}
    landmarks = (np.array(LANDMARKS) / 2).tolist()
    faces = {"landmarks": landmarks, "recognizers": [{"name": "tiny", "path": "recognizer.onnx"}]}
    spec = small_world.spec_path(generator=given, samples=40, shard_size=20, faces=faces)
    assert main(["audit", str(spec)]) == ExitCode.OK
