import { type Borrower, type Loan, Loans, type Parcel, type TransferType } from './transfer.js';

/** The values that move in the message that is being written, or was written last. */
export class MovingValues {
  readonly #loans: Loan[] = [];

  get count(): number {
    return this.#loans.length;
  }

  /** Packs one more. */
  add(type: TransferType<object>, value: object): { readonly token: number; readonly parcel: Parcel } {
    const loan = { token: Loans.newToken(), parcel: type.pack(value) };
    this.#loans.push(loan);
    return loan;
  }

  /** Everything is ready to be sent. @throws What a value has against it. */
  sending(borrower: Borrower): void {
    for (let index = 0; index < this.#loans.length; index++) this.#loans[index].parcel.sending?.(borrower);
  }

  /** The message was sent: its values are the peer's now. */
  handOver(loans: Loans, borrower: Borrower): void {
    if (this.#loans.length === 0) return;
    // Parcels are told that they are sent, and may send something themselves.
    loans.lend(this.#loans.splice(0), borrower);
  }

  /** Lets go of all but the first ones: they are not sent. */
  drop(kept: number): void {
    for (const { parcel } of this.#loans.splice(kept)) parcel.release();
  }
}
