"""Rows of the documented tables, made up for tests."""

OPEN_LOOP = {
    "engine": "vLLM v0.15.1", "model": "meta-llama/Llama-3.1-8B-Instruct", "hardware": "H100", "tp": "1",
    "precision": "FP16", "dp": "1", "max_num_batched_tokens": "2048", "rate_rps": "4", "duration_s": "100",
    "system_prompt_len": "100", "n_sys_prompts": "9", "users_per_sys_prompt": "5", "isl_cfg": "547",
    "output_len": "60", "ttft_mean_ms": "26", "itl_mean_ms": "7.8", "e2e_mean_ms": "500",
}  # fmt: skip
CLOSED_LOOP = {
    "src_kind": "InferenceX DB dump", "backend": "vllm", "backend_version": "0.11", "precision": "fp8",
    "model_path": "meta-llama/Llama-3.1-70B", "system": "h100_sxm", "isl": "256", "osl": "32", "conc": "4",
    "tp_size": "8", "pp_size": "1", "attention_dp_size": "", "moe_ep_size": "",
    "silicon_ttft_ms": "60", "silicon_tpot_ms": "11",
}  # fmt: skip
APART = {
    **{k: v for k, v in CLOSED_LOOP.items() if k not in ("tp_size", "pp_size", "attention_dp_size")},
    "prefill_num_workers": "2", "prefill_tp_size": "2", "prefill_attention_dp_size": "1",
    "decode_num_workers": "1", "decode_tp_size": "4", "decode_attention_dp_size": "1",
}  # fmt: skip
AT_ONCE = {
    "version": "TRT-LLM 1.0", "model": "Llama 3.1 8B", "gpu": "H100 80GB SXM", "precision": "FP8", "tp": "1", "pp": "1",
    "ep": "", "isl": "128", "osl": "16", "out_tok_s_gpu": "9000",
}  # fmt: skip
