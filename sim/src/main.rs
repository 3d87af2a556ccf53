//! `sim`: simulated ComfyUI servers, each with an agent beside it, until Ctrl-C.

use anyhow::{Context, Result};
use clap::Parser;
use sim::{Agent, AgentConfig, Comfy, ComfyConfig, Generation};

/// An agent's port is its server's plus this.
const AGENT_PORT_OFFSET: u16 = 1000;
const VRAM_BYTES: u64 = 24 << 30;

/// Runs simulated ComfyUI servers with an agent beside each.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many servers.
    #[arg(long, default_value_t = 3)]
    servers: u16,
    /// Which ComfyUI they are: 0.8 or 2024.
    #[arg(long, default_value = "0.8")]
    generation: Generation,
    /// Divides every time that a job takes.
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// The first server's port; the others follow, and each agent is 1000 above its server. Else any free ones.
    #[arg(long)]
    port: Option<u16>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut running = Vec::new();
    for index in 0..arguments.servers {
        let (server, agent) = start(&arguments, index).await?;
        println!("server {}  agent {}", server.url(), agent.url());
        running.push((server, agent));
    }
    tokio::signal::ctrl_c().await.context("wait for Ctrl-C")
}

async fn start(arguments: &Arguments, index: u16) -> Result<(Comfy, Agent)> {
    let port = arguments.port.map_or(Some(0), |first| first.checked_add(index));
    let port = port.context("the servers' ports go beyond 65535: give a lower --port")?;
    let agent_port = if port == 0 { Some(0) } else { port.checked_add(AGENT_PORT_OFFSET) };
    let agent_port = agent_port.context("the agents' ports go beyond 65535: give a lower --port")?;
    let config = ComfyConfig {
        generation: arguments.generation,
        speed: arguments.speed,
        device_name: format!("cuda:0 Simulated GPU {index}"),
        vram_bytes: VRAM_BYTES,
        port,
        ..ComfyConfig::default()
    };
    let server = Comfy::start(config).await?;
    let beside = Some(server.clone());
    let agent = Agent::start(AgentConfig { port: agent_port, beside, ..AgentConfig::default() }).await?;
    Ok((server, agent))
}
