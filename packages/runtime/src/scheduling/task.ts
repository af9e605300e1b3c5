/** Something that a group does in one of its turns. The reactor's `Completion` is one. */
export interface Task {
  /** Called in a turn of the group; it should not throw, and an error becomes an uncaught exception. */
  complete(result: number, flags: number): void;
}
