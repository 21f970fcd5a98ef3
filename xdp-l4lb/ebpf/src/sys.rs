//! The tables, and the only code that touches their memory.
//!
//! User space stores into the mapped ones at any time. Every word that may change is read once, by
//! a volatile load of its own size, so a decision never sees half of a change.

use aya_ebpf::bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC};
use aya_ebpf::btf_maps::lpm_trie::Key;
use aya_ebpf::btf_maps::{Array, DevMapHash, HashMap, LpmTrie, PerCpuArray};
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::btf_map;
use xdp_l4lb_common::decap::Peers;
use xdp_l4lb_common::hash::AddrWords;
use xdp_l4lb_common::layout::{
    BUCKET_ENTRIES, BackendMode, BackendRecord, Bucket, Config, Counter, FlowKey, FlowState, Link,
    NextHop, OuterV4, ServiceRecord, Slot, SlotTable, TokenBucket, Traffic, VipTable, sizes,
};
use xdp_l4lb_common::{Backend, Forward, Maps, Port, Remembered, Service, Work};

const MAPPED: usize = BPF_F_MMAPABLE as usize;

/// Enough for [`Work`].
const WORK_WORDS: usize = size_of::<Work>().div_ceil(8);
const _: () = assert!(align_of::<Work>() <= 8);

#[btf_map(name = "vips")]
static VIPS: Array<Bucket, { sizes::VIPS }, MAPPED> = Array::new();
#[btf_map(name = "services")]
static SERVICES: Array<ServiceRecord, { sizes::SERVICES }, MAPPED> = Array::new();
#[btf_map(name = "slots")]
static SLOTS: Array<u64, { sizes::SLOTS }, MAPPED> = Array::new();
#[btf_map(name = "touched")]
static TOUCHED: Array<u32, { sizes::SLOTS }, MAPPED> = Array::new();
#[btf_map(name = "backends")]
static BACKENDS: Array<BackendRecord, { sizes::BACKENDS }, MAPPED> = Array::new();
#[btf_map(name = "links")]
static LINKS: Array<Link, { sizes::LINKS }, MAPPED> = Array::new();
#[btf_map(name = "config")]
static CONFIG: Array<Config, 1, MAPPED> = Array::new();
#[btf_map(name = "flows")]
static FLOWS: HashMap<FlowKey, FlowState, { sizes::FLOWS }, { BPF_F_NO_PREALLOC as usize }> =
    HashMap::new();
#[btf_map(name = "service_stats")]
static SERVICE_STATS: PerCpuArray<Traffic, { sizes::SERVICES }> = PerCpuArray::new();
#[btf_map(name = "backend_stats")]
static BACKEND_STATS: PerCpuArray<Traffic, { sizes::BACKENDS }> = PerCpuArray::new();
#[btf_map(name = "drops")]
static DROPS: PerCpuArray<u64, { sizes::DROPS }> = PerCpuArray::new();
#[btf_map(name = "limits")]
static LIMITS: PerCpuArray<TokenBucket, 1> = PerCpuArray::new();
#[btf_map(name = "devices")]
static DEVICES: DevMapHash<{ sizes::DEVICES }> = DevMapHash::new();

/// Where the general path works. User space has no business here, so its layout is nobody's.
#[btf_map(name = "work")]
static WORK: PerCpuArray<[u64; WORK_WORDS], 1> = PerCpuArray::new();

#[btf_map(name = "balancers")]
static BALANCERS: LpmTrie<[u8; 16], u32, { sizes::BALANCERS }> = LpmTrie::new();
#[btf_map(name = "owned")]
static OWNED: HashMap<[u8; 16], u32, { sizes::OWNED }, { BPF_F_NO_PREALLOC as usize }> =
    HashMap::new();
#[btf_map(name = "decap_drops")]
static DECAP_DROPS: PerCpuArray<u64, { sizes::DROPS }> = PerCpuArray::new();

/// The balancer's tables.
pub(crate) struct Tables {
    config: *const Config,
}

impl Tables {
    /// `None` never happens, but the verifier has to be told.
    #[inline(always)]
    pub(crate) fn open() -> Option<Self> {
        CONFIG.get_ptr(0).map(|config| Self { config })
    }

    /// This CPU's place for the general path.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "each run of the program takes it once")]
    pub(crate) fn work(&self) -> Option<&mut Work> {
        let work = WORK.get_ptr_mut(0)?.cast::<Work>();
        // SAFETY: the lookup found the element, which belongs to this CPU while the program runs,
        // and is as large and as aligned as it has to be. A valid value is written first.
        unsafe {
            work.write(Work::NEW);
            Some(&mut *work)
        }
    }

    /// Counts a packet that goes to a backend.
    #[inline(always)]
    pub(crate) fn forwarded(&self, forward: &Forward) {
        let bytes = forward.inner.len as u64;
        add(SERVICE_STATS.get_ptr_mut(forward.service), bytes);
        add(BACKEND_STATS.get_ptr_mut(forward.backend), bytes);
    }

    /// Has the kernel send the frame through another interface.
    #[inline(always)]
    pub(crate) fn redirect(&self, ifindex: u32) -> Option<u32> {
        DEVICES.redirect(ifindex, 0).ok()
    }
}

/// Counts something about a packet at the balancer.
#[inline(always)]
pub(crate) fn count(index: u32) {
    increment(DROPS.get_ptr_mut(index));
}

/// Counts something about a packet on the backend side.
#[inline(always)]
pub(crate) fn count_decap(index: u32) {
    increment(DECAP_DROPS.get_ptr_mut(index));
}

#[inline(always)]
fn increment(counter: Option<*mut u64>) {
    if let Some(counter) = counter {
        // SAFETY: the lookup found the element, which belongs to this CPU.
        unsafe { *counter += 1 };
    }
}

#[inline(always)]
fn add(traffic: Option<*mut Traffic>, bytes: u64) {
    if let Some(traffic) = traffic {
        // SAFETY: the lookup found the element, which belongs to this CPU.
        unsafe {
            (*traffic).packets += 1;
            (*traffic).bytes += bytes;
        }
    }
}

/// Loads a field that user space may change, in one access of its size.
macro_rules! volatile {
    ($pointer:expr, $field:ident) => {
        // SAFETY: the pointer comes from a lookup that found the element.
        unsafe { (&raw const (*$pointer).$field).read_volatile() }
    };
}

/// Sixteen bytes at the start of a record, aligned as the record is.
#[inline(always)]
unsafe fn addr(record: *const u64) -> AddrWords {
    // SAFETY: the caller's record starts with sixteen bytes of address, aligned to eight.
    unsafe {
        AddrWords {
            hi: record.read_volatile(),
            lo: record.add(1).read_volatile(),
        }
    }
}

impl Maps for Tables {
    #[inline(always)]
    fn vip_table(&self) -> VipTable {
        VipTable::from_word(volatile!(self.config, vip_table))
    }

    #[inline(always)]
    fn no_vip(&self, word: usize) -> u64 {
        // SAFETY: the pointer comes from a lookup that found the element, which has two words.
        unsafe {
            (&raw const (*self.config).no_vip)
                .cast::<u64>()
                .add(word & 1)
                .read_volatile()
        }
    }

    #[inline(always)]
    fn vip_seed(&self) -> u64 {
        volatile!(self.config, vip_seed)
    }

    #[inline(always)]
    fn flow_seed(&self) -> u64 {
        volatile!(self.config, flow_seed)
    }

    #[inline(always)]
    fn outer_v4(&self) -> OuterV4 {
        OuterV4::from_word(volatile!(self.config, outer_v4))
    }

    #[inline(always)]
    fn outer_v6(&self) -> [u8; 8] {
        // SAFETY: the pointer comes from a lookup that found the element; the field is at a
        // multiple of eight.
        let word = unsafe {
            (&raw const (*self.config).outer_v6)
                .cast::<u64>()
                .read_volatile()
        };
        word.to_ne_bytes()
    }

    #[inline(always)]
    fn epoch(&self) -> u32 {
        volatile!(self.config, epoch)
    }

    #[inline(always)]
    fn bucket(&self, index: u32) -> Option<impl Fn(usize) -> u64> {
        let bucket = VIPS.get_ptr(index)?.cast::<u64>();
        // SAFETY: the lookup found the bucket, and places are below eight.
        Some(move |place| unsafe { bucket.add(place & 7).read_volatile() })
    }

    /// Reads the upper halves only: whether the lower half belongs to it, the record says.
    #[inline(always)]
    fn probe(&self, bucket: u32, fingerprint: u32) -> u32 {
        let Some(bucket) = VIPS.get_ptr(bucket) else {
            return 0;
        };
        let halves = bucket.cast::<u32>();
        for place in 0..BUCKET_ENTRIES {
            // SAFETY: the lookup found the bucket, which has this place.
            unsafe {
                if halves.add(2 * place + 1).read_volatile() == fingerprint {
                    return halves.add(2 * place).read_volatile();
                }
            }
        }
        0
    }

    #[inline(always)]
    fn service(&self, index: u32) -> Option<Service> {
        let record = SERVICES.get_ptr(index)?;
        // SAFETY: the lookup found the record, which starts with a key of twenty bytes and is
        // aligned to 64; behind the key are the flags and three bytes of padding.
        let (addr, tail, flags) = unsafe {
            let words = record.cast::<u32>();
            (
                addr(record.cast()),
                words.add(4).read_volatile(),
                words.add(5).read_volatile(),
            )
        };
        Some(Service {
            addr,
            tail,
            flags: flags as u8,
            table: SlotTable::from_word(volatile!(record, table)),
        })
    }

    #[inline(always)]
    fn slot(&self, index: u32) -> Option<Slot> {
        let slot = SLOTS.get_ptr(index)?;
        // SAFETY: the lookup found the slot.
        Some(Slot::from_word(unsafe { slot.read_volatile() }))
    }

    #[inline(always)]
    fn touch(&self, slot: u32, epoch: u32) {
        if let Some(touched) = TOUCHED.get_ptr_mut(slot) {
            // SAFETY: the lookup found the word.
            unsafe { touched.write_volatile(epoch) };
        }
    }

    #[inline(always)]
    fn backend(&self, id: u32) -> Option<Backend> {
        let record = BACKENDS.get_ptr(id)?;
        Some(Backend {
            // SAFETY: the lookup found the record, which starts with the address.
            addr: unsafe { addr(record.cast()) },
            mode: BackendMode::from_word(volatile!(record, mode)),
            next_hop: NextHop::from_word(volatile!(record, next_hop)),
        })
    }

    #[inline(always)]
    fn link(&self, index: u16) -> Option<Port> {
        let link = LINKS.get_ptr(u32::from(index))?;
        Some(Port {
            ifindex: volatile!(link, ifindex),
            // A link never changes once a next hop names it, so its address may be read in parts.
            mac: volatile!(link, mac),
        })
    }

    #[inline(always)]
    fn flow(&self, key: &FlowKey) -> Option<impl Remembered> {
        FLOWS.get_ptr_mut(key).map(Flow)
    }

    #[inline(always)]
    fn remember(&self, key: &FlowKey, state: &FlowState) -> bool {
        FLOWS.insert(key, state, 0).is_ok()
    }

    #[inline(always)]
    fn count(&self, counter: Counter) {
        count(counter.index());
    }

    #[inline(always)]
    fn allow_error(&self) -> bool {
        let Some(bucket) = LIMITS.get_ptr_mut(0) else {
            return false;
        };
        let rate = volatile!(self.config, error_rate);
        // SAFETY: the lookup found the bucket, which belongs to this CPU.
        unsafe { (*bucket).take(bpf_ktime_get_ns(), rate) }
    }
}

/// An element of `flows`. It is not preallocated, so the kernel keeps it until the program ends.
struct Flow(*mut FlowState);

impl Remembered for Flow {
    #[inline(always)]
    fn state(&self) -> FlowState {
        FlowState {
            backend: volatile!(self.0, backend),
            isn: volatile!(self.0, isn),
            seen: volatile!(self.0, seen),
            confirmed: volatile!(self.0, confirmed),
        }
    }

    #[inline(always)]
    fn confirm(&self, epoch: u32) {
        // SAFETY: the lookup found the element.
        unsafe {
            (&raw mut (*self.0).seen).write_volatile(epoch);
            (&raw mut (*self.0).confirmed).write_volatile(1);
        }
    }
}

/// The backend side's tables.
pub(crate) struct PeerTables;

impl Peers for PeerTables {
    #[inline(always)]
    fn is_balancer(&self, addr: AddrWords) -> bool {
        BALANCERS.get(&Key::new(128, addr.bytes())).is_some()
    }

    #[inline(always)]
    fn is_owned(&self, addr: AddrWords) -> bool {
        OWNED.get_ptr(addr.bytes()).is_some()
    }
}
