// A TCP peer that takes everything and costs next to nothing: at the ingress of a device it turns each data segment
// for the benchmark's ports into its own acknowledgement and sends it back. All of it runs on the sender's processor,
// in the sender's softirq, and copies no payload: what the sender pays for copying is all that differs.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

// GCC calls a function for what is one instruction.
static __always_inline __u32 swap32(__u32 value) {
#ifdef __clang__
  return __builtin_bswap32(value);
#else
  __u64 wide = value;
  asm("endbe %0, 32" : "+r"(wide));
  return (__u32)wide;
#endif
}

#define FIRST_PORT 7777
#define LAST_PORT 32000
#define HEADERS (sizeof(struct ethhdr) + sizeof(struct iphdr) + sizeof(struct tcphdr))

struct headers {
  struct ethhdr eth;
  struct iphdr ip;
  struct tcphdr tcp;
} __attribute__((packed));

struct pseudo_header {
  __be32 from, to;
  __u8 zero, protocol;
  __be16 length;
};

static __always_inline __u16 fold(__s64 sum) {
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return (__u16)~sum;
}

SEC("tc")
int sink(struct __sk_buff *skb) {
  struct headers *h = (void *)(long)skb->data;
  if ((void *)(h + 1) > (void *)(long)skb->data_end) return TC_ACT_OK;
  if (h->eth.h_proto != bpf_htons(ETH_P_IP) || h->ip.protocol != IPPROTO_TCP || h->ip.ihl != 5) return TC_ACT_OK;
  const __u32 port = swap32(h->tcp.dest) >> 16;
  if (port < FIRST_PORT || port > LAST_PORT || h->tcp.syn || h->tcp.rst) return TC_ACT_OK;
  const __u32 payload = skb->len - sizeof(struct ethhdr) - sizeof(struct iphdr) - h->tcp.doff * 4;
  if ((__s32)payload <= 0) return TC_ACT_OK;
  const __u32 next = swap32(h->tcp.seq) + payload;

  // Only the headers are made writable: cutting the packet would copy all of it. The receiver of the acknowledgement
  // goes by the length in the IP header.
  if (bpf_skb_pull_data(skb, HEADERS) != 0) return TC_ACT_SHOT;
  h = (void *)(long)skb->data;
  if ((void *)(h + 1) > (void *)(long)skb->data_end) return TC_ACT_SHOT;

  unsigned char mac[ETH_ALEN];
  __builtin_memcpy(mac, h->eth.h_dest, ETH_ALEN);
  __builtin_memcpy(h->eth.h_dest, h->eth.h_source, ETH_ALEN);
  __builtin_memcpy(h->eth.h_source, mac, ETH_ALEN);

  const __be32 from = h->ip.daddr;
  const __be32 to = h->ip.saddr;
  h->ip.saddr = from;
  h->ip.daddr = to;
  h->ip.tot_len = bpf_htons(sizeof(struct iphdr) + sizeof(struct tcphdr));
  h->ip.check = 0;
  h->ip.check = fold(bpf_csum_diff(0, 0, (void *)h + sizeof(struct ethhdr), sizeof h->ip, 0));

  const __be16 source = h->tcp.dest;
  h->tcp.dest = h->tcp.source;
  h->tcp.source = source;
  h->tcp.seq = h->tcp.ack_seq;
  h->tcp.ack_seq = swap32(next);
  // Twenty bytes of header, ACK alone.
  *(__be16 *)((char *)&h->tcp + 12) = bpf_htons(5 << 12 | 0x10);
  h->tcp.window = 0xffff;
  h->tcp.urg_ptr = 0;
  h->tcp.check = 0;
  struct pseudo_header pseudo = {from, to, 0, IPPROTO_TCP, bpf_htons(sizeof(struct tcphdr))};
  const __s64 sum = bpf_csum_diff(0, 0, (void *)&pseudo, sizeof pseudo, 0);
  h->tcp.check = fold(bpf_csum_diff(0, 0, (void *)h + sizeof(struct ethhdr) + sizeof(struct iphdr), sizeof h->tcp, sum));
  return bpf_redirect(skb->ifindex, 0);
}

// The kernel side of virtual Ethernet hands packets over without a detour only if a program is attached.
SEC("xdp")
int pass(struct xdp_md *context) { return XDP_PASS; }

char program_license[] SEC("license") = "GPL";
