//! The threads on which probes run, and nothing else.
//!
//! A target decides how much work its answer makes. One that sends without end keeps a thread busy for as long as its
//! octets last between two looks at the clock; the control task, the admin interface and the signals must not wait for it,
//! so they run elsewhere.

use std::time::Duration;
use tokio::runtime::{Builder, Handle, Runtime};

/// A runtime for probes.
#[derive(Debug)]
pub struct ProbeThreads {
    /// Present until dropped.
    runtime: Option<Runtime>,
    handle: Handle,
}

/// One target that keeps a thread busy delays no other.
const THREADS: usize = 2;

/// Dropping a probe kills the program that it runs, which takes no time; a thread that reads a file of a dead file system is not waited for.
const PATIENCE: Duration = Duration::from_millis(500);

impl ProbeThreads {
    /// Starts them.
    ///
    /// # Errors
    /// The system refuses a thread; says so.
    pub fn start() -> Result<ProbeThreads, String> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(THREADS).thread_name("probes").enable_all();
        let runtime = builder.build().map_err(|error| format!("cannot start the threads of the prober: {error}"))?;
        Ok(ProbeThreads { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// Where to spawn probes.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl ProbeThreads {
    /// Drops all probes under way, and with them ends the programs that they run. What is left of them when this program ends would otherwise outlive it.
    pub async fn stop(mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A task must not wait for threads.
            let _ = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(PATIENCE)).await;
        }
    }
}

impl Drop for ProbeThreads {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Not waited for: this may happen in a task, which must not block, and nobody wants the results any more.
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test]
    async fn all_probes_are_dropped_when_the_threads_have_stopped() {
        let threads = ProbeThreads::start().expect("threads are to be had");
        let (probe, dropped) = mpsc::channel::<()>();
        threads.handle().spawn(async move {
            std::future::pending::<()>().await;
            drop(probe);
        });
        threads.stop().await;
        assert_eq!(dropped.try_recv(), Err(mpsc::TryRecvError::Disconnected));
    }
}
