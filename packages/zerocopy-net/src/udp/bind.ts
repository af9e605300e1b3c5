import { native } from '@sunstar/native';
import { currentShard, ERRNO, systemError } from '@sunstar/runtime';
import { invalidOption } from '../errors.js';
import { currentNetwork } from '../network.js';
import { functionOption, integerOption } from '../options.js';
import { applySocketOptions, type SocketOptions, socketSettings } from '../socket-options.js';
import {
  DEFAULT_ZERO_COPY_THRESHOLD_BYTES,
  type ZeroCopyChoice,
  zeroCopyChoice,
} from '../zero-copy/options.js';
import { longestDatagramBytes, type UdpReceiver, UdpSocket } from './udp-socket.js';

const SOL_UDP = 17;
const UDP_GRO = 104;
/** What the kernel joins at most. */
const LONGEST_JOINED_BYTES = 65_535;

/** Options of {@link bindUdp}. */
export interface UdpOptions
  extends Pick<SocketOptions, 'sendBufferBytes' | 'receiveBufferBytes' | 'busyPollUs'> {
  /** 0 has the kernel choose a free one. @defaultValue 0 */
  readonly port?: number;
  /** A numeric address of this machine. @defaultValue '127.0.0.1' */
  readonly host?: string;
  /** With an IPv6 host: no IPv4. @defaultValue false */
  readonly ipv6Only?: boolean;
  /**
   * Share the port with the other shards: the kernel spreads datagrams by sender. @defaultValue true when the runtime
   * has several shards
   */
  readonly reusePort?: boolean;
  /**
   * Has the kernel join datagrams of one sender, which saves work on bulk transfers; they arrive one by one all the
   * same. Needs `datagramBufferBytes: 131072` (`configureNetwork`). @defaultValue false
   */
  readonly gro?: boolean;
  /** Sends in the kernel's hands; more are dropped. @defaultValue 1024; 1 to 65536 */
  readonly maxSendsInFlight?: number;
  /** Whether large sends, with segments, leave without a copy. @defaultValue 'auto' */
  readonly zeroCopy?: ZeroCopyChoice;
  /** How large a send must be for that. @defaultValue 32768; 1 to 65507 */
  readonly zeroCopyThresholdBytes?: number;
}

/**
 * Binds a UDP socket on the current shard. It stops with the shard. Datagrams that are longer than a datagram buffer
 * (16 KiB, less 72 bytes, by default) are thrown away and counted.
 *
 * @throws SunstarError SUNSTAR_EADDRINUSE, SUNSTAR_EACCES, SUNSTAR_EADDRNOTAVAIL, SUNSTAR_INVALID_OPTION,
 * SUNSTAR_OUT_OF_MEMORY, SUNSTAR_NOT_ATTACHED
 */
export function bindUdp(options: UdpOptions, receiver: UdpReceiver): UdpSocket {
  const shard = currentShard();
  functionOption(receiver, 'onDatagram');
  const network = currentNetwork();
  const host = options.host ?? '127.0.0.1';
  const port = integerOption('port', options.port, 0, 0, 65_535);
  const configuration = {
    maxSendsInFlight: integerOption('maxSendsInFlight', options.maxSendsInFlight, 1024, 1, 65_536),
    zeroCopy: zeroCopyChoice(options.zeroCopy),
    zeroCopyThresholdBytes: integerOption(
      'zeroCopyThresholdBytes',
      options.zeroCopyThresholdBytes,
      DEFAULT_ZERO_COPY_THRESHOLD_BYTES,
      1,
      65_507,
    ),
  };
  const settings = socketSettings(options);
  const pool = network.receiveBuffers.datagramPool();
  if (options.gro === true && longestDatagramBytes(pool.bufferBytes) < LONGEST_JOINED_BYTES)
    throw invalidOption('gro', true, 'used with datagramBufferBytes: 131072 (configureNetwork)');
  const fd = native.udpBind(host, port, options.reusePort ?? shard.count > 1, options.ipv6Only ?? false);
  if (fd === -ERRNO.EINVAL) throw invalidOption('host', host, 'a numeric IPv4 or IPv6 address');
  if (fd < 0) throw systemError('bind', fd, host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`);
  network.reactor.descriptors.own(fd);
  try {
    applySocketOptions(fd, { noDelay: false, socketSettings: settings }, true);
    if (options.gro === true) {
      const result = native.setSocketOption(fd, SOL_UDP, UDP_GRO, 1);
      if (result < 0) throw systemError('setsockopt', result, 'UDP_GRO');
    }
  } catch (error) {
    network.reactor.close(fd);
    throw error;
  }
  const socket = new UdpSocket(network, fd, receiver, configuration);
  const forget = shard.onStop(() => socket.close());
  void socket.closed.then(forget);
  return socket;
}
