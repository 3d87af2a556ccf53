//! What stands above a node that its user gave no title.

use super::Interface;

/// The class's display name, unless the interface calls it otherwise; without any the class itself.
pub(super) fn of_class<'t>(class: &'t str, display_name: Option<&'t str>, interface: Interface) -> &'t str {
    let display_name = display_name.filter(|name| !name.is_empty());
    let own = |names: &[(&'static str, &'static str)]| {
        names.iter().find(|(of, _)| *of == class).map(|(_, name)| *name)
    };
    match interface {
        Interface::V1_35 => own(&CALLED_OTHERWISE).or(display_name).unwrap_or(class),
        Interface::V1_58 => display_name.or_else(|| own(&NAMED)).unwrap_or(class),
    }
}

/// Where 1.35 has an older name than servers of its time.
const CALLED_OTHERWISE: [(&str, &str); 3] = [
    ("ByteDanceSeedreamNode", "ByteDance Seedream 4"),
    ("FluxKontextMultiReferenceLatentMethod", "FluxKontextMultiReferenceLatentMethod"),
    ("Mahiro", "Mahiro is so cute that she deserves a better guidance function!! (。・ω・。)"),
];

/// What 1.58 calls classes that servers send without a display name.
const NAMED: [(&str, &str); 71] = [
    ("BasicGuider", "Basic Guider"),
    ("CFGGuider", "CFG Guider"),
    ("CLIPTextEncodeControlnet", "CLIP Text Encode (Controlnet)"),
    ("CLIPTextEncodeHiDream", "CLIP Text Encode (HiDream)"),
    ("CLIPTextEncodeHunyuanDiT", "CLIP Text Encode (Hunyuan Image)"),
    ("CLIPTextEncodeKandinsky5", "CLIP Text Encode (Kandinsky 5)"),
    ("CLIPTextEncodePixArtAlpha", "CLIP Text Encode (PixArt Alpha)"),
    ("CLIPTextEncodeSD3", "CLIP Text Encode (SD3)"),
    ("CLIPTextEncodeSDXL", "CLIP Text Encode (SDXL)"),
    ("CLIPTextEncodeSDXLRefiner", "CLIP Text Encode (SDXL Refiner)"),
    ("Canny", "Detect Edges (Canny)"),
    ("ControlNetInpaintingAliMamaApply", "Apply ControlNet Inpainting (AliMama)"),
    ("CropMask", "Crop Mask"),
    ("DualCFGGuider", "Dual CFG Guider"),
    ("EmptyAceStepLatentAudio", "Empty Ace Step 1.0 Latent Audio"),
    ("EmptyCosmosLatentVideo", "Empty Cosmos Latent Video"),
    ("EmptyHunyuanImageLatent", "Empty Hunyuan Image Latent"),
    ("EmptyLTXVLatentVideo", "Empty LTXV Latent Video"),
    ("EmptyLatentHunyuan3Dv2", "Empty Hunyuan 3D v2 Latent"),
    ("FeatherMask", "Feather Mask"),
    ("GenerateTracks", "Generate Video Tracks"),
    ("HunyuanRefinerLatent", "Hunyuan Latent Refiner"),
    ("HunyuanVideo15SuperResolution", "Hunyuan Video 1.5 Super Resolution"),
    ("HypernetworkLoader", "Load Hypernetwork"),
    ("ImageAddNoise", "Add Noise to Image"),
    ("ImageBlend", "Blend Images"),
    ("ImageBlur", "Blur Image"),
    ("ImageColorToMask", "Convert Image Color to Mask"),
    ("ImageCompositeMasked", "Image Composite Masked"),
    ("ImageFlip", "Flip Image"),
    ("ImageFromBatch", "Get Image from Batch"),
    ("ImageQuantize", "Quantize Image"),
    ("ImageRGBToYUV", "Image RGB to YUV"),
    ("ImageRotate", "Rotate Image"),
    ("ImageScaleToMaxDimension", "Scale Image to Max Dimension"),
    ("ImageScaleToTotalPixels", "Scale Image to Total Pixels"),
    ("ImageSharpen", "Sharpen Image"),
    ("ImageYUVToRGB", "Image YUV to RGB"),
    ("InvertMask", "Invert Mask"),
    ("LTXVConcatAVLatent", "Concat AV Latent"),
    ("LTXVPreprocess", "LTXV Preprocess"),
    ("LTXVSeparateAVLatent", "Separate AV Latent"),
    ("LatentBatch", "Batch Latents (DEPRECATED)"),
    ("LatentCompositeMasked", "Latent Composite Masked"),
    ("MaskComposite", "Combine Masks"),
    ("PerpNegGuider", "Perp-Neg Guider"),
    ("PhotoMakerEncode", "PhotoMaker Encode"),
    ("PhotoMakerLoader", "Load PhotoMaker Model"),
    ("QuadrupleCLIPLoader", "Load CLIP (Quadruple)"),
    ("ReferenceLatent", "Set Reference Latent"),
    ("RepeatImageBatch", "Repeat Image Batch"),
    ("ReplaceVideoLatentFrames", "Replace Video Latent Frames"),
    ("ResizeAndPadImage", "Resize And Pad Image"),
    ("SaveAnimatedPNG", "Save Animated PNG"),
    ("SaveAnimatedWEBP", "Save Animated WEBP"),
    ("SaveGLB", "Save 3D Model"),
    ("SaveSVGNode", "Save SVG"),
    ("SaveWEBM", "Save WEBM"),
    ("SetUnionControlNetType", "Set Union ControlNet Type"),
    ("SolidMask", "Create Solid Mask"),
    ("StableCascade_EmptyLatentImage", "Empty Stable Cascade Latent Image"),
    ("StableCascade_StageC_VAEEncode", "Stable Cascade Stage C VAE Encode"),
    ("T5TokenizerOptions", "T5 Tokenizer Options"),
    ("TextEncodeQwenImageEdit", "Text Encode Qwen Image Edit"),
    ("TextEncodeQwenImageEditPlus", "Text Encode Qwen Image Edit Plus"),
    ("ThresholdMask", "Threshold Mask"),
    ("TrimVideoLatent", "Trim Video Latent"),
    ("TripleCLIPLoader", "Load CLIP (Triple)"),
    ("VAEDecodeHunyuan3D", "Hunyuan 3D VAE Decode"),
    ("VoxelToMesh", "Voxel to Mesh"),
    ("VoxelToMeshBasic", "Voxel to Mesh (Basic) (DEPRECATED)"),
];
