/** A real mail server at the far end of a delivery. */
export interface Receiver extends AsyncDisposable {
  /** Where it takes mail, as a nexthop. */
  readonly nexthop: string;
  /** All messages it has stored, as stored. */
  messages(): Promise<readonly Buffer[]>;
}
