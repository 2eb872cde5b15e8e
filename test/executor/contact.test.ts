import { expect, test } from "vitest";
import { type Clock, systemClock } from "../../runtime/clock.ts";
import { type Contact, createContact } from "../../runtime/executor/contact.ts";

const MAX_GAP_MS = 10_000;

function contactAt(): { contact: Contact; pass(ms: number): void } {
  let nowMs = 5_000;
  const clock: Clock = { ...systemClock, nowMs: () => nowMs };
  return {
    contact: createContact(clock, MAX_GAP_MS),
    pass(ms) {
      nowMs += ms;
    },
  };
}

test("there is none before the first answer, however long the process runs", () => {
  const { contact, pass } = contactAt();
  pass(60_000);
  expect(contact.unbrokenMs()).toBe(0);
});

test("it lasts from the first answer on, as long as answers come", () => {
  const { contact, pass } = contactAt();
  contact.kept();
  expect(contact.unbrokenMs()).toBe(0);
  for (let answers = 0; answers < 5; answers++) {
    pass(9_000);
    contact.kept();
  }
  pass(1_000);
  expect(contact.unbrokenMs()).toBe(46_000);
});

test("a question without an answer ends it, and the next answer begins it anew", () => {
  const { contact, pass } = contactAt();
  contact.kept();
  pass(9_000);
  contact.broken();
  expect(contact.unbrokenMs()).toBe(0);
  pass(1_000);
  contact.kept();
  pass(500);
  expect(contact.unbrokenMs()).toBe(500);
});

test("silence ends it as well: the process may have been frozen", () => {
  const { contact, pass } = contactAt();
  contact.kept();
  pass(MAX_GAP_MS);
  contact.kept();
  expect(contact.unbrokenMs()).toBe(MAX_GAP_MS);
  pass(MAX_GAP_MS + 1);
  expect(contact.unbrokenMs()).toBe(0);
  contact.kept();
  expect(contact.unbrokenMs()).toBe(0);
  pass(700);
  expect(contact.unbrokenMs()).toBe(700);
});
