//! The way from the Python node: who asks ComfyUI's own port for the old figures gets them from the agent, by a node that
//! redirects in a real ComfyUI, and by a proxy in front.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use libtest_mimic::{Failed, Trial};
use serde_json::Value;
use sim::outside::{Found, Outside, trial};

use super::built::{Running, program, root};
use super::wait::until;

const NGINX: Outside = Outside::Program { name: "nginx", package: "nginx" };
const ASKED: &str = "GET /orchestrator/metrics HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("comfyui::its_own_port_sends_to_the_agent_by_a_node", Outside::Comfyui, |found| {
            redirects(&found)
        }),
        trial("comfyui::its_own_port_answers_as_the_agent_by_a_proxy", NGINX, |found| {
            passes_on(found.program().ok_or("no program")?)
        }),
    ]
}

/// An agent, and its port.
fn agent() -> (Running, u16) {
    let mut agent = Command::new(program("orchestrator-agent"));
    let mut agent = agent.args(["--listen", "127.0.0.1:0"]).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(agent.stderr.take().unwrap()).lines().map_while(Result::ok);
    let port = |line: String| line.split_once("listening on http://127.0.0.1:")?.1.trim().parse().ok();
    let port = { lines }.find_map(port).expect("the agent listens");
    (Running(agent), port)
}

fn redirects(found: &Found) -> Result<(), Failed> {
    let (_agent, agent_port) = agent();
    let folder = tempfile::tempdir()?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let _comfyui = comfyui(found, folder.path(), port, agent_port)?;
    let answer = until("ComfyUI answers", || ask(TcpStream::connect(("127.0.0.1", port)).ok()?));
    let place = format!("http://127.0.0.1:{agent_port}/orchestrator/metrics");
    assert!(answer.starts_with("HTTP/1.0 307 ") || answer.starts_with("HTTP/1.1 307 "), "{answer}");
    assert!(answer.lines().any(|line| line == format!("Location: {place}")), "{answer}");
    has_old_figures(&ask(TcpStream::connect(("127.0.0.1", agent_port))?).ok_or("no answer")?)
}

/// A real one that has our node and nobody else's.
fn comfyui(found: &Found, folder: &Path, port: u16, agent_port: u16) -> Result<Running, Failed> {
    let Found::Comfyui { directory, python } = found else { return Err("not a ComfyUI".into()) };
    // JSON is YAML.
    let nodes = serde_json::to_string(&root().join("packaging/comfyui").canonicalize()?)?;
    let paths = folder.join("extra_model_paths.yaml");
    fs::write(&paths, format!("ours:\n    custom_nodes: {nodes}\n"))?;
    let mut command = Command::new(python);
    command.current_dir(directory).args([
        "main.py",
        "--cpu",
        "--listen",
        "127.0.0.1",
        "--port",
        &port.to_string(),
    ]);
    for kind in ["output", "input", "temp"] {
        fs::create_dir(folder.join(kind))?;
        command.arg(format!("--{kind}-directory")).arg(folder.join(kind));
    }
    command.arg("--extra-model-paths-config").arg(paths);
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("ORCHESTRATOR_AGENT_PORT", agent_port.to_string());
    Ok(Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?))
}

fn passes_on(nginx: &Path) -> Result<(), Failed> {
    let (_agent, agent_port) = agent();
    let folder = tempfile::tempdir()?;
    let shipped = fs::read_to_string(root().join("packaging/comfyui/nginx.conf"))?;
    assert!(shipped.contains("127.0.0.1:9188"), "{shipped}");
    fs::write(
        folder.path().join("ours.conf"),
        shipped.replace("127.0.0.1:9188", &format!("127.0.0.1:{agent_port}")),
    )?;
    // Whatever is not ours would be ComfyUI's.
    let settings = "daemon off; master_process off; pid pid; error_log stderr; events {} http { access_log off; \
        client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi; \
        server { listen unix:socket; include ours.conf; location / { return 404; } } }";
    let settings =
        settings.replace("unix:socket", &format!("unix:{}", folder.path().join("socket").display()));
    fs::write(folder.path().join("nginx.conf"), settings)?;
    let mut command = Command::new(nginx);
    command.arg("-p").arg(folder.path()).args(["-c", "nginx.conf", "-e", "stderr"]);
    let _nginx = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
    let answer = until("nginx answers", || ask(UnixStream::connect(folder.path().join("socket")).ok()?));
    has_old_figures(&answer)
}

fn ask(mut stream: impl Read + Write) -> Option<String> {
    let mut answer = String::new();
    stream.write_all(ASKED.as_bytes()).ok()?;
    stream.read_to_string(&mut answer).ok()?;
    (!answer.is_empty()).then_some(answer)
}

fn has_old_figures(answer: &str) -> Result<(), Failed> {
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no body")?;
    assert!(head.contains(" 200 "), "{answer}");
    let figures: Value = serde_json::from_str(body)?;
    assert!(figures["cpu_utilization"].is_f64() && figures["ram_total"].is_u64(), "{figures}");
    Ok(())
}
