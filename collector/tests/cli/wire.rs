//! What a program connects through, and a test can cut.

use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub(crate) struct Wire {
    pub(crate) url: String,
    whole: Arc<watch::Sender<bool>>,
}

impl Wire {
    /// Leads every connection to this address.
    pub(crate) async fn to(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap();
        let there = url.strip_prefix("http://").unwrap().to_owned();
        let whole = Arc::new(watch::Sender::new(true));
        let sight = whole.subscribe();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(lead(near, there.clone(), sight.clone()));
            }
        });
        Self { url: format!("http://{here}"), whole }
    }

    /// Ends all connections, and new ones at once.
    pub(crate) fn cut(&self) {
        self.whole.send_replace(false);
    }

    pub(crate) fn mend(&self) {
        self.whole.send_replace(true);
    }
}

async fn lead(mut near: TcpStream, there: String, mut whole: watch::Receiver<bool>) {
    if !*whole.borrow_and_update() {
        return;
    }
    let Ok(mut far) = TcpStream::connect(there).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => {}
        _ = whole.changed() => {}
    }
}
