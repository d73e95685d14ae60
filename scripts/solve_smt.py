"""Answer one question of the prover (SMT-LIB): two solvers race, the first that knows wins.

Yices reads the machine's words as bits, and finds counterexamples. Z3 is given them as integers, without which no
solver gets through the products and quotients of amounts and shares; it says "unsat" or nothing.

    python scripts/solve_smt.py QUESTION.smt2
"""

from __future__ import annotations

import operator
import os
import queue
import re
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import z3

YICES = [str(Path(sys.executable).with_name("yices-smt2")), "--smt2-model-format", "--bvconst-in-decimal"]
MILLISECONDS = 10_000
DEFINED = re.compile(r"\(define-fun (f_evm_\w+_(\d+)) .*\)")  # the machine's operations, which are read by their names


def main() -> None:
    question = Path(sys.argv[1])
    yices = subprocess.Popen([*YICES, question], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    answers: queue.SimpleQueue[str] = queue.SimpleQueue()
    for ask in (lambda: yices.communicate()[0], lambda: ask_z3(question)):
        threading.Thread(target=lambda ask=ask: answers.put(ask())).start()
    answer = answers.get()
    if not is_final(answer):
        answer = max(answer, answers.get(), key=lambda each: (is_final(each), each.startswith("sat")))
    print(answer, flush=True)
    yices.kill()
    os._exit(0)  # Z3 is not waited for


def is_final(answer: str) -> bool:
    """Not if it is "unknown", or true only of operations that the prover has left open: it would ask again."""
    return answer.startswith(("sat", "unsat")) and "f_evm_" not in answer


def ask_z3(question: Path) -> str:
    return "unsat" if is_impossible(question.read_text()) else "unknown"


def is_impossible(question: str) -> bool:
    """Whether no integers satisfy what the question asserts."""
    opened = DEFINED.sub(r"(declare-fun \1 ((_ BitVec \2) (_ BitVec \2)) (_ BitVec \2))", question)
    assertions = list(z3.parse_smt2_string(opened))
    reading = Reading()
    reading.narrow(assertions)
    solver = z3.SolverFor("QF_NIA")
    solver.set("timeout", MILLISECONDS)
    solver.add(*[reading.truth(assertion) for assertion in assertions])
    solver.add(*reading.ranges)
    return solver.check() == z3.unsat


@dataclass(frozen=True)
class Word:
    """A word of the machine as an integer, and the numbers between which it surely is."""

    value: z3.ArithRef
    least: int
    most: int


@dataclass
class Reading:
    """Words as integers, remainders by the word's size only where the bounds leave room for a wrap.

    What it cannot read becomes a fresh unknown of the same width: that admits more than the question does, so
    "impossible" stays true. Terms are remembered by their number; whoever reads keeps them alive.
    """

    ranges: list[z3.BoolRef] = field(default_factory=list)
    _words: dict[int, Word] = field(default_factory=dict)
    _truths: dict[int, z3.BoolRef] = field(default_factory=dict)

    def narrow(self, assertions: list[z3.BoolRef]) -> None:
        """Take note of parameters that are narrower than a word: those of which is said p = 0 ‖ (some bits)."""
        for parameter, same in (each.children() for each in assertions if each.decl().kind() == z3.Z3_OP_EQ):
            if z3.is_const(parameter) and z3.is_bv(same) and same.decl().kind() == z3.Z3_OP_CONCAT:
                *zeros, low = same.children()
                if all(z3.is_bv_value(part) and part.as_long() == 0 for part in zeros):
                    self._words[parameter.get_id()] = self._unknown(low.size())

    def word(self, term: z3.BitVecRef) -> Word:
        if term.get_id() not in self._words:
            known = number(term.as_long()) if z3.is_bv_value(term) else self._operation(term)
            self._words[term.get_id()] = known or self._unknown(term.size())
        return self._words[term.get_id()]

    def truth(self, term: z3.BoolRef) -> z3.BoolRef:
        if term.get_id() not in self._truths:
            self._truths[term.get_id()] = self._judgement(term)
        return self._truths[term.get_id()]

    def _judgement(self, term: z3.BoolRef) -> z3.BoolRef:
        kind, parts = term.decl().kind(), term.children()
        if kind in CONNECTIVES:
            return CONNECTIVES[kind](*[self.truth(part) for part in parts])
        if kind in COMPARISONS and z3.is_bv(parts[0]):
            return COMPARISONS[kind](self.word(parts[0]).value, self.word(parts[1]).value)
        return z3.FreshBool("unread")

    def _operation(self, term: z3.BitVecRef) -> Word | None:
        kind, parts = term.decl().kind(), term.children()
        name = term.decl().name().rpartition("_")[0]  # of f_evm_bvmul_256
        if kind == z3.Z3_OP_BADD:
            return wrapped(total_of([self._signed(part) for part in parts]), term.size())
        if kind == z3.Z3_OP_BNOT:
            return total_of([number(2 ** term.size() - 1), product_of([number(-1), self.word(parts[0])])])
        if kind == z3.Z3_OP_BMUL or name == "f_evm_bvmul":
            return wrapped(product_of([self._signed(part) for part in parts]), term.size())
        if kind in EXACT_DIVISIONS and self.word(parts[1]).least > 0:
            return EXACT_DIVISIONS[kind](self.word(parts[0]), self.word(parts[1]))
        if name in DIVISIONS:
            return DIVISIONS[name](self.word(parts[0]), self.word(parts[1]))
        if kind == z3.Z3_OP_CONCAT:
            shifts = [sum(right.size() for right in parts[place + 1 :]) for place in range(len(parts))]
            return total_of(
                [product_of([number(2**shift), self.word(part)]) for shift, part in zip(shifts, parts, strict=True)]
            )
        if kind == z3.Z3_OP_EXTRACT:
            high, low = term.params()
            return wrapped(quotient(self.word(parts[0]), number(2**low)), high - low + 1)
        if kind == z3.Z3_OP_ITE:
            return either(self.truth(parts[0]), self.word(parts[1]), self.word(parts[2]))
        return None

    def _signed(self, term: z3.BitVecRef) -> Word:
        """A factor or summand. A constant in the upper half is a negative number: x - y is x + (2²⁵⁶ - 1) * y."""
        if z3.is_bv_value(term):
            return number(term.as_signed_long())
        if term.decl().kind() == z3.Z3_OP_BMUL and z3.is_bv_value(term.arg(0)):
            return product_of([self._signed(part) for part in term.children()])
        return self.word(term)

    def _unknown(self, size: int) -> Word:
        value = z3.FreshInt("word")
        self.ranges += [value >= 0, value < 2**size]
        return Word(value, 0, 2**size - 1)


def number(value: int) -> Word:
    return Word(z3.IntVal(value), value, value)


def total_of(parts: list[Word]) -> Word:
    value = z3.simplify(z3.Sum([part.value for part in parts]))
    return Word(value, sum(part.least for part in parts), sum(part.most for part in parts))


def product_of(parts: list[Word]) -> Word:
    product, *others = parts
    for other in others:
        ends = [one * another for one in (product.least, product.most) for another in (other.least, other.most)]
        product = Word(product.value * other.value, min(ends), max(ends))
    return product


def wrapped(word: Word, size: int) -> Word:
    if word.least >= 0 and word.most < 2**size:
        return word
    return Word(word.value % 2**size, 0, 2**size - 1)


def either(truth: z3.BoolRef, yes: Word, no: Word) -> Word:
    return Word(z3.If(truth, yes.value, no.value), min(yes.least, no.least), max(yes.most, no.most))


def quotient(dividend: Word, divisor: Word) -> Word:
    """The machine's division, which gives zero where the divisor is zero."""
    if divisor.least > 0:
        value = dividend.value / divisor.value
        return Word(value, dividend.least // divisor.most, dividend.most // divisor.least)
    return Word(z3.If(divisor.value == 0, 0, dividend.value / divisor.value), 0, dividend.most)


def remainder(dividend: Word, divisor: Word) -> Word:
    """The machine's remainder, which is zero where the divisor is zero."""
    if divisor.least > dividend.most:
        return dividend
    return Word(z3.If(divisor.value == 0, 0, dividend.value % divisor.value), 0, dividend.most)


CONNECTIVES = {
    z3.Z3_OP_TRUE: lambda: z3.BoolVal(True),
    z3.Z3_OP_FALSE: lambda: z3.BoolVal(False),
    z3.Z3_OP_NOT: z3.Not,
    z3.Z3_OP_AND: z3.And,
    z3.Z3_OP_OR: z3.Or,
}
COMPARISONS = {
    z3.Z3_OP_EQ: operator.eq,
    z3.Z3_OP_ULEQ: operator.le,
    z3.Z3_OP_UGEQ: operator.ge,
    z3.Z3_OP_ULT: operator.lt,
    z3.Z3_OP_UGT: operator.gt,
}
DIVISIONS = {"f_evm_bvudiv": quotient, "f_evm_bvurem": remainder}
EXACT_DIVISIONS = {
    z3.Z3_OP_BUDIV: quotient,
    z3.Z3_OP_BUDIV_I: quotient,
    z3.Z3_OP_BUREM: remainder,
    z3.Z3_OP_BUREM_I: remainder,
}


if __name__ == "__main__":
    main()
