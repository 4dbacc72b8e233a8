/** What may be sent: text, or bytes. */
export type Message = string | ArrayBuffer | ArrayBufferView | Blob;

/**
 * - "connecting": an attempt is under way
 * - "open": messages go out and come in
 * - "waiting": lost, the next attempt is at `retryAt`
 * - "refused": given up, because asking again would not change the answer; `code` and `reason` say why
 * - "closed": by `close()`, for good
 */
export type State = "connecting" | "open" | "waiting" | "refused" | "closed";

/** Names of subprotocols (RFC 6455 §1.9). */
export type Protocols = string | string[];

/** How a connection ended: the close code (RFC 6455 §7.4) and its reason. */
export interface Ending {
  code: number;
  reason: string;
}

export interface Options {
  /** Subprotocols to offer, best first. A function is asked anew before each attempt, as `token` is. */
  protocols?: Protocols | (() => Protocols | null | undefined | Promise<Protocols | null | undefined>);
  /**
   * Sent as `?token=…`. A function is asked anew before each attempt, so that it may give a fresh one; a server that
   * refuses with 4401 or 401 is then asked once more.
   */
  token?: string | (() => string | null | undefined | Promise<string | null | undefined>);
  /**
   * The position that the page shows, as the server rendered it: what was said on the route after it is sent first.
   * This, `onMissed` and a gapless return need a route that keeps history.
   */
  since?: string;
  /** Where relative paths start; by default where the app is mounted, which the address of the script shows. */
  base?: string | URL;
  /** Each time the connection opens, the first time too. What it sends goes before what had to wait. */
  onOpen?: (connection: Connection) => void;
  /** Each message: a text, or bytes. */
  onMessage?: (data: string | ArrayBuffer, connection: Connection) => void;
  /** Each text that is JSON, parsed; with it, `onMessage` gets only the others. */
  onJson?: (value: any, connection: Connection) => void;
  /** Something was said that will not come any more: load anew what the page shows. Once for each gap. */
  onMissed?: (connection: Connection) => void;
  /** Once for each time it was open. */
  onClose?: (ending: Ending, connection: Connection) => void;
  /** Each change of `connection.state`. */
  onState?: (state: State, connection: Connection) => void;
  /** Close codes to give up on besides 1008, 4401 and 4403. */
  giveUpOn?: number[];
  /** How many messages may wait while there is no connection; 100 by default. */
  maxQueued?: number;
  /** Milliseconds: the ceiling of the first wait, which doubles with each failure; 1,000 by default. */
  baseMs?: number;
  /** Milliseconds: where the doubling ends; 15,000 by default. */
  capMs?: number;
}

export interface Connection {
  readonly state: State;
  /** The last close code; 0 while connecting and open. */
  readonly code: number;
  /** The reason that came with it, "" if there was none. */
  readonly reason: string;
  /** While "waiting": when the next attempt is, as `Date.now()` counts; Infinity: when the page is shown again. */
  readonly retryAt: number;
  /** The subprotocol that was agreed on, "" if none. */
  readonly protocol: string;
  /**
   * - undefined: the server has not said it yet, on this attempt
   * - null: a newcomer, or the route keeps no history
   * - true: back, and all that was missed follows or is here
   * - false: something was missed
   */
  readonly resumed: boolean | null | undefined;
  /** Up to where all is here, as text for `since`; "" if that isn't known, "-" if the server lost it. */
  readonly position: string;
  /**
   * Sends a message now, or as soon as there is a connection.
   * False: it was not taken, because too many wait already or the connection is refused or closed.
   */
  send(message: Message): boolean;
  /** Sends a value as JSON. */
  sendJson(value: unknown): boolean;
  /** Tries now instead of at `retryAt`, or again after a refusal: somebody has logged in. */
  retry(): void;
  /**
   * Ends it for good; what waits is not sent.
   * @param code 1000, or 3000 to 4999
   * @param reason at most 123 bytes
   */
  close(code?: number, reason?: string): void;
}

/**
 * Connects, and goes on connecting until `close()`.
 * @param path "ws/chat/general": below the app; "/ws/chat/general": below the origin; or a whole ws:, wss: or http: URL
 * @throws TypeError if that is no URL
 */
export function connect(path: string | URL, options?: Options): Connection;

declare global {
  /** The same for pages without modules. */
  var tina4: { connect: typeof connect };
}
