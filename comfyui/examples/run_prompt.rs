//! Runs a prompt on a ComfyUI, shows how far it is, and saves what it makes:
//!
//! ```sh
//! cargo run -p comfyui --example run_prompt -- http://127.0.0.1:8188 prompt.json pictures
//! ```
//!
//! `prompt.json` is what the web interface exports as "API format".

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use comfyui::api::{HistoryEntry, PromptRequest};
use comfyui::{Client, Frame, Message, Socket};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> ExitCode {
    match start().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn start() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [server, prompt, folder] = arguments.as_slice() else {
        return Err("usage: run_prompt SERVER PROMPT.json FOLDER".into());
    };
    let client = Client::new(&server.parse()?)?;
    let prompt = tokio::fs::read_to_string(prompt).await?;
    for path in run(&client, prompt, Path::new(folder)).await? {
        println!("{}", path.display());
    }
    Ok(())
}

/// The files that the prompt made, saved in this folder.
pub(crate) async fn run(client: &Client, prompt: String, folder: &Path) -> Result<Vec<PathBuf>> {
    // Connected before the prompt is queued: what happens without a connection is not told later.
    let client_id = format!("run_prompt-{}", std::process::id());
    let mut socket = Socket::connect(client, &client_id, None).await?;
    let mut request = PromptRequest::of(prompt)?;
    request.client_id = Some(client_id);
    let accepted = client.queue_prompt(&request).await?;
    follow(&mut socket, &accepted.prompt_id).await?;
    socket.close().await;

    let entry = client.history_of(&accepted.prompt_id).await?;
    save(client, &entry.ok_or("the server has forgotten the prompt")?, folder).await
}

/// Waits for the prompt's end, and fails if that was no good one.
async fn follow(socket: &mut Socket, prompt_id: &str) -> Result<()> {
    while let Some(frame) = socket.next().await {
        let Frame::Message(message) = frame? else { continue };
        if message.prompt_id() != Some(prompt_id) {
            continue;
        }
        match message {
            Message::Executing(executing) => match executing.node {
                Some(node) => eprintln!("node {node}"),
                None => return Ok(()),
            },
            Message::Progress(progress) => eprintln!("  {} of {}", progress.value, progress.max),
            Message::ExecutionError(error) => return Err(error.exception_message.into()),
            Message::ExecutionInterrupted(_) => return Err("somebody has stopped the prompt".into()),
            _ => {}
        }
    }
    Err("the server has closed the connection".into())
}

/// Streams each file to the disk: a video may be larger than the memory.
async fn save(client: &Client, entry: &HistoryEntry, folder: &Path) -> Result<Vec<PathBuf>> {
    tokio::fs::create_dir_all(folder).await?;
    let mut saved = Vec::new();
    for (_node, file) in entry.files().filter(|(_node, file)| file.kind == "output") {
        // A server names the file: only the last part of its name counts here.
        let name = Path::new(&file.filename).file_name().ok_or("a file without a name")?;
        let path = folder.join(name);
        let mut download = client.open_file(&file).await?;
        let mut written = File::create(&path).await?;
        while let Some(chunk) = download.chunk().await? {
            written.write_all(&chunk).await?;
        }
        written.flush().await?;
        saved.push(path);
    }
    Ok(saved)
}
