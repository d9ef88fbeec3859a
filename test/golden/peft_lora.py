"""LoRA through pip peft on tiny-llama -> peft-lora/

r=4, alpha=8, all seven projections, random non-zero A and B. The folder holds
the adapter as peft saves it and expected.json: logits with the adapter, logits
after merge_and_unload, loss, and the gradient of every adapter leaf under the
key of the adapter file.

Run: python peft_lora.py
     python peft_lora.py --check FOLDER [--base MODEL_FOLDER]

--check loads an adapter folder that this project wrote onto the tiny llama with
peft and prints how far peft's logits are from those in FOLDER/expected.json:
{"logits": {"shape", "data"}}, and "tokens" in the same form where they are not
the golden batch. It exits with 1 where keys are missing or unexpected, or where
the difference is over 2e-4.
"""

import argparse
import json
import pathlib
import sys

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors.torch import load_file
from transformers import LlamaForCausalLM

from common import HERE, scalar, versions, write
from llama import batch, floats, ints, load_tiny

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
TOLERANCE = 2e-4


def fill(leaves, seed, scale):
    """Seeded values, in key order, so that the draw does not hang on insertion order."""
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for _key, leaf in sorted(leaves.items()):
            leaf.copy_(torch.from_numpy((scale * rng.standard_normal(tuple(leaf.shape))).astype(np.float32)))


def adapter_leaves(model):
    """{key in the adapter file: parameter} of the adapter named default."""
    named = dict(model.named_parameters())
    return {key.replace(".default.", "."): p for key, p in named.items() if "lora_" in key}


def save_adapter(model, folder, base):
    """peft's own two files, with the base named by its folder beside the scripts.

    target_modules is a set in peft, so its order changes from run to run: sorted here.
    """
    model.peft_config["default"].base_model_name_or_path = base
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    (folder / "adapter_model.safetensors").chmod(0o644)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    config["target_modules"].sort()
    path.write_text(json.dumps(config, indent=2, sort_keys=True))


def measure(model, leaves):
    """Logits, loss and gradients of the golden batch."""
    tokens, labels = batch()
    out = model(input_ids=tokens, labels=labels)
    grads = torch.autograd.grad(out.loss, list(leaves.values()))
    return {
        "tokens": ints(tokens),
        "labels": ints(labels),
        "loss": scalar(np.float32(out.loss.item())),
        "logits": floats(out.logits),
        "grads": {key: floats(g) for key, g in sorted(zip(leaves, grads))},
    }


def logits_of(model):
    with torch.no_grad():
        return model(input_ids=batch()[0]).logits


def main():
    base = logits_of(load_tiny())
    config = LoraConfig(r=4, lora_alpha=8, lora_dropout=0.0, target_modules=TARGETS, task_type="CAUSAL_LM")
    model = get_peft_model(load_tiny(), config).eval()
    leaves = adapter_leaves(model)
    fill(leaves, 21, 0.25)
    folder = HERE / "peft-lora"
    save_adapter(model, folder, "tiny-llama")
    assert sorted(load_file(folder / "adapter_model.safetensors")) == sorted(leaves)

    result = measure(model, leaves)
    moved = float((logits_of(model) - base).abs().max())
    merged = logits_of(PeftModel.from_pretrained(load_tiny(), folder).merge_and_unload())
    gap = float((merged - logits_of(model)).abs().max())
    assert moved > 0.1 and gap < 3e-5, (moved, gap)
    write(
        "peft-lora/expected.json",
        {
            "about": "pip peft LoRA r=4 alpha=8 on tiny-llama, float32",
            "versions": versions("peft", "transformers", "torch", "numpy"),
            "max_difference_from_base": round(moved, 4),
            "max_difference_when_merged": gap,
            **result,
            "merged_logits": floats(merged),
        },
    )


def tensor(value, dtype):
    return torch.tensor([float(v) for v in value["data"]]).reshape(value["shape"]).to(dtype)


def check(folder, base):
    expected = json.loads((folder / "expected.json").read_text())
    tokens = tensor(expected["tokens"], torch.long) if "tokens" in expected else batch()[0]
    model = LlamaForCausalLM.from_pretrained(base, attn_implementation="eager").float()
    model = PeftModel.from_pretrained(model, folder).eval()
    stored, used = set(load_file(folder / "adapter_model.safetensors")), set(get_peft_model_state_dict(model))
    with torch.no_grad():
        logits = model(input_ids=tokens).logits
    wanted = tensor(expected["logits"], torch.float32)
    difference = float((logits - wanted).abs().max())
    report = {
        "missing": sorted(used - stored),
        "unexpected": sorted(stored - used),
        "max_difference": difference,
    }
    print(json.dumps(report))
    return 0 if stored == used and difference <= TOLERANCE else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="LoRA golden values, or a check of an adapter folder")
    parser.add_argument("--check", metavar="FOLDER", type=pathlib.Path)
    parser.add_argument("--base", metavar="MODEL_FOLDER", type=pathlib.Path, default=HERE / "tiny-llama")
    options = parser.parse_args()
    sys.exit(check(options.check, options.base) if options.check else main())
