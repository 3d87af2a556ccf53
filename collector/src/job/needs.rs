//! What a prompt needs of the backend that runs it. The library reads it out of the graph; a job's row keeps it as JSON,
//! so every form that was ever written has to load.

pub use comfyui::needs::{Asset, InputFile, ModelSet, Needs};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_written_by_an_earlier_version_load() {
        let row = r#"{"classes":["LoadImage","VAELoader"],
            "assets":[{"node":"1","class":"VAELoader","input":"vae_name","name":"a.safetensors"}],
            "files":[{"subfolder":"orchestrator","name":"dog.png"}]}"#;
        let needs: Needs = serde_json::from_str(row).unwrap();
        assert_eq!((needs.classes.len(), needs.models().to_string()), (2, "a.safetensors".to_owned()));
        assert_eq!(needs.files, [InputFile::named_by("orchestrator/dog.png")]);
        assert!(needs.outputs.is_empty() && needs.work.is_unknown());
        assert_eq!(serde_json::from_str::<Needs>("{}").unwrap(), Needs::default());
    }

    #[test]
    fn needs_come_out_of_a_row_as_they_went_in() {
        let prompt = serde_json::from_value(serde_json::json!({
            "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "SDXL/base.safetensors"}},
            "2": {"class_type": "LoadImage", "inputs": {"image": "a.png [output]"}},
            "3": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 32, "batch_size": 2}},
            "4": {"class_type": "KSampler", "inputs": {"seed": 1, "steps": 7, "cfg": 4.5, "sampler_name": "euler",
                                                       "latent_image": ["3", 0]}},
        }));
        let needs = Needs::of(&prompt.unwrap(), None);
        assert!(!needs.outputs.is_empty() && needs.work.steps == Some(7));
        let row = serde_json::to_string(&needs).unwrap();
        assert_eq!(serde_json::from_str::<Needs>(&row).unwrap(), needs);
    }
}
