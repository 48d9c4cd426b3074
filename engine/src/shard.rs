//! Shards: starting them, ending them, running a future on the calling thread.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io::Write;
use std::panic;
use std::rc::Rc;
use std::sync::{Arc, Once};
use std::thread;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded};

use crate::buffer::Arena;
use crate::check::{self, StartError};
use crate::executor::Executor;
use crate::limits::BLOCKING_JOBS_MAX;
use crate::local::{self, Host, Local};
use crate::remote::Remote;
use crate::stats::Counters;
use crate::sync::Semaphore;
use crate::task::{self, Queue};
use crate::timer::Timers;
use crate::uring::{self, Descriptor, Ring};
use crate::{time, turn};

pub use crate::stats::{Stats, read as stats};

/// Names a shard, from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

impl std::fmt::Display for ShardId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The calling shard.
///
/// # Panics
/// On a thread that is not a shard.
pub fn current() -> ShardId {
    local::with(|local| local.shard)
}

/// How shards are started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// How many.
    pub shards: usize,
    /// Each thread stays on one core.
    pub pin: bool,
    /// The cores to pin to, in order of shards; empty means all there are. Fewer than shards go round.
    pub cores: Vec<usize>,
    /// What [`crate::buffer`] may hand out per shard.
    pub memory_bytes_per_shard: usize,
    /// How much of that is registered with the ring, in whole MiB; locked memory.
    pub registered_bytes_per_shard: usize,
    /// How long a shard without work looks for some before it sleeps. Zero: not at all, 0 % CPU.
    pub spin: Duration,
}

impl Default for Launch {
    /// One shard, unpinned, 256 MiB of memory, none registered, no spinning.
    fn default() -> Self {
        Launch {
            shards: 1,
            pin: false,
            cores: Vec::new(),
            memory_bytes_per_shard: 256 << 20,
            registered_bytes_per_shard: 0,
            spin: Duration::ZERO,
        }
    }
}

/// Shards that were started.
#[must_use = "join waits for the shards"]
pub struct Running<E> {
    threads: Vec<thread::JoinHandle<()>>,
    ends: Receiver<Result<(), E>>,
}

const SHARD_STACK_BYTES: usize = 4 << 20;

/// Starts the shards and runs `main` on each. Returns once every shard has its ring, or with the reason
/// why one has none. SIGTERM and SIGINT are blocked from now on, in this thread and all it
/// starts, for [`crate::signal::terminate`] to take. A panic on a shard ends the process with its message.
pub fn launch<F, Fut, E>(launch: Launch, main: F) -> Result<Running<E>, StartError>
where
    F: Fn(ShardId) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), E>> + 'static,
    E: Send + 'static,
{
    assert!(launch.shards > 0, "at least one shard is launched");
    abort_on_panic();
    crate::signal::block();
    let cores = cores_of(&launch);
    let main = Arc::new(main);
    let (end, ends) = bounded(launch.shards);
    let (ready, readies) = bounded(launch.shards);
    let mut threads = Vec::new();
    for i in 0..launch.shards {
        let core = cores.get(i % cores.len().max(1)).copied();
        let (launch, main, end, ready) = (launch.clone(), main.clone(), end.clone(), ready.clone());
        let body = move || {
            ABORTS.set(true);
            if let Some(core) = core
                && !core_affinity::set_for_current(core)
            {
                tracing::warn!(shard = i, core = core.id, "cannot pin the shard to its core");
            }
            run_shard(&launch, ShardId(i as u16), &*main, &ready, &end);
        };
        let thread =
            thread::Builder::new().name(format!("shard-{i}")).stack_size(SHARD_STACK_BYTES);
        let thread = thread.spawn(body).map_err(|e| check::no_thread(&e))?;
        threads.push(thread);
    }
    for _ in 0..launch.shards {
        readies.recv().expect("every shard reports once")?;
    }
    Ok(Running { threads, ends })
}

fn run_shard<Fut, E>(
    launch: &Launch,
    shard: ShardId,
    main: &dyn Fn(ShardId) -> Fut,
    ready: &Sender<Result<(), StartError>>,
    end: &Sender<Result<(), E>>,
) where
    Fut: Future<Output = Result<(), E>> + 'static,
    E: 'static,
{
    let started = Shard::start(launch, shard);
    let shard_local = match started {
        Ok(started) => started,
        Err(error) => return ready.send(Err(error)).expect("launch waits for every shard"),
    };
    // A launch that has failed on another shard no longer listens, and the process is about to end.
    let _ = ready.send(Ok(()));
    let result = shard_local.run(launch.spin, main(shard));
    drop(shard_local);
    let _ = end.send(result);
}

impl<E> Running<E> {
    /// Waits for the shards to end. The first error comes back at once, while others may still run: the
    /// process is expected to end on it.
    pub fn join(self) -> Result<(), E> {
        for _ in 0..self.threads.len() {
            self.ends.recv().expect("every shard reports its end")?;
        }
        for thread in self.threads {
            // A panic has ended the process already.
            let _ = thread.join();
        }
        Ok(())
    }
}

/// Runs `future` on the calling thread as a shard of its own (number 0), for command-line tools and
/// tests. Signals are left as they are; a panic unwinds to the caller.
///
/// # Panics
/// If the thread is a shard already.
pub fn block_on<F: Future + 'static>(launch: &Launch, future: F) -> Result<F::Output, StartError> {
    let shard = Shard::start(launch, ShardId(0))?;
    Ok(shard.run(launch.spin, future))
}

/// A thread that has become a shard; dropping it ends the shard in order.
struct Shard {
    local: Rc<Local>,
}

impl Shard {
    fn start(launch: &Launch, shard: ShardId) -> Result<Shard, StartError> {
        let ring = Ring::new().map_err(|e| check::no_ring(&e))?;
        let remote = Remote::register(ring.fd()).map_err(|e| check::no_ring(&e))?;
        let (budget, region) = (launch.memory_bytes_per_shard, launch.registered_bytes_per_shard);
        let arena = Arena::new(budget, region, remote.clone()).map_err(|e| check::no_memory(&e))?;
        let parts = arena.region_parts();
        if !parts.is_empty() {
            // SAFETY: the arena's home keeps the region mapped, and `Local` drops the ring before the
            // arena.
            match unsafe { ring.register_buffers(&parts) } {
                Ok(()) => arena.set_registered(),
                Err(error) => check::warn_unregistered(&error, region),
            }
        }
        // Timers are to be exact to a few microseconds; the kernel's default is to join wake-ups within 50.
        // SAFETY: PR_SET_TIMERSLACK takes a number and changes this thread only.
        unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_000u64) };
        let local = Rc::new(Local {
            shard,
            id: remote.id(),
            executor: Executor::new(remote.id()),
            timers: RefCell::new(Timers::new(time::now().nanos())),
            mailboxes: RefCell::default(),
            blocking: Semaphore::new(u64::from(BLOCKING_JOBS_MAX)),
            counters: Counters::default(),
            host: Host::Ring(ring),
            arena,
            remote,
        });
        local::install(local.clone());
        let shard = Shard { local };
        task::spawn(Queue::Produce, listen_for_threads());
        Ok(shard)
    }

    fn run<F: Future + 'static>(&self, spin: Duration, main: F) -> F::Output {
        let output = Rc::new(RefCell::new(None));
        let place = output.clone();
        task::spawn(Queue::Produce, async move {
            let value = main.await;
            *place.borrow_mut() = Some(value);
        });
        turn::run_until(&self.local, spin, || output.borrow().is_some());
        output.take().expect("the loop ends when the output is there")
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        // Tasks may own anything of this shard and are dropped while it is whole; then the kernel lets go
        // of the memory; then nothing may find the shard any more.
        self.local.executor.clear();
        self.local.ring().drain();
        self.local.arena.take_returns();
        let _ = local::uninstall();
    }
}

/// Lets threads without a ring (the blocking pool, foreign wakers) end the shard's sleep: a read of its
/// eventfd is always in flight.
async fn listen_for_threads() {
    let raw = local::with(|local| local.remote.event());
    // SAFETY: the descriptor is open as long as the shard; the duplicate is ours.
    let own = unsafe { crate::remote::owned(libc::fcntl(raw, libc::F_DUPFD_CLOEXEC, 0)) };
    let fd = Rc::new(Descriptor::new(own.expect("a shard has a descriptor to spare at its start")));
    loop {
        let (result, _) = uring::read_word(&fd).await;
        assert!(result == 8 || result == -libc::EINTR, "an eventfd gives its count: {result}");
    }
}

fn cores_of(launch: &Launch) -> Vec<core_affinity::CoreId> {
    if !launch.pin {
        return Vec::new();
    }
    if launch.cores.is_empty() {
        return core_affinity::get_core_ids().unwrap_or_default();
    }
    launch.cores.iter().map(|id| core_affinity::CoreId { id: *id }).collect()
}

/// Blocks `signals` in this thread and those it starts.
pub(crate) fn block_signals(signals: &[i32]) {
    // SAFETY: sigset_t is plain integers; the calls only read and write the local set and this
    // thread's mask.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        signals.iter().for_each(|s| {
            libc::sigaddset(&mut set, *s);
        });
        libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
    }
}

/// Leaves signals to other threads.
pub(crate) fn block_all_signals() {
    // SAFETY: as in `block_signals`.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut set);
        libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
    }
}

thread_local! {
    /// A panic on this thread ends the process.
    static ABORTS: Cell<bool> = const { Cell::new(false) };
}

/// Shards share nothing that a panic could leave to the others: half a broker would go on acknowledging.
fn abort_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !ABORTS.try_with(Cell::get).unwrap_or(false) {
                return before(info);
            }
            abort(info);
        }));
    });
}

fn abort(why: &dyn std::fmt::Display) -> ! {
    let thread = thread::current();
    let name = thread.name().unwrap_or("a shard");
    let trace = std::backtrace::Backtrace::capture();
    let line = format!("HDL-BUG-001: {name}: {why}\n{trace}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
    std::process::abort();
}

/// Lets a panic that began on another thread, and was reported there, go on in this one. The panic hook
/// does not see it a second time, so that a launched shard has to end the process here.
pub(crate) fn go_on_panicking(panic: Box<dyn Any + Send>) -> ! {
    if ABORTS.try_with(Cell::get).unwrap_or(false) {
        abort(&"a blocking job panicked, see above");
    }
    panic::resume_unwind(panic)
}
