//! The threads on which probes run, and nothing else.
//!
//! A target decides how much work its answer makes. One that sends without end keeps a thread busy for as long as its
//! octets last between two looks at the clock; the control task, the admin interface and the signals must not wait for it,
//! so they run elsewhere.

use tokio::runtime::{Builder, Handle, Runtime};

/// A runtime for probes. Ends with the value; probes under way are dropped.
#[derive(Debug)]
pub struct ProbeThreads {
    /// Present until dropped.
    runtime: Option<Runtime>,
    handle: Handle,
}

/// One target that keeps a thread busy delays no other.
const THREADS: usize = 2;

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

impl Drop for ProbeThreads {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Not waited for: this may happen in a task, which must not block, and nobody wants the results any more.
            runtime.shutdown_background();
        }
    }
}
