// Package tools is what an agent may do.
//
// A tool is one value above its handler, made by Read or Write; everything
// else, from its schema to its consent sentence, derives from that value. Every
// call goes through one guard, in this order:
//
//	 1 identify   a Caller came in; its audit line opens, or nothing happens
//	 2 admit      find the tool; the rules say whether this caller has it
//	 3 decode     arguments, strictly
//	 4 lease      caller + provider + scopes ──▶ one account; the operator's
//	              rules over arguments, account and label may end it here
//	 5 handle     read: Found[R]; write: Plan[R], one request, not sent
//	 6 ask        (write) a rule's or a person's yes to exactly these bytes
//	 7 send       (write) the vault pays out against the permit
//	 8 filter     every returned object is checked; withheld looks like missing
//	 9 label      how trusted and how private the whole answer is
//	10 answer     one Outcome; the audit line closes
//
// A handler never sends a write, never sees a token, and cannot return
// anything the guard has not filtered: a Found opens for the guard alone. A
// result type must say what object it is and how it is labelled, or the
// program does not compile.
package tools
