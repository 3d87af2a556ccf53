//! What the fuzz targets share: the classes of a server, and changes to JSON documents that leave them JSON.

use std::sync::LazyLock;

use comfyui::ObjectInfo;

pub mod mutation;

/// The classes of a real server.
pub static OBJECT_INFO: LazyLock<ObjectInfo> = LazyLock::new(|| {
    let document = include_bytes!("../../comfyui/tests/object_info.json");
    comfyui::from_slice(document).expect("the test document is an object_info")
});
