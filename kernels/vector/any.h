// SPDX-License-Identifier: BSD-3-Clause
// Any matrix: some rows at a time over all columns. Included by combine.h, like which see.

// Rows of one pass: as many as fit the registers. More rows take several passes.
struct Pass {
  const Combination* c;
  unsigned first_row;  // outputs that repeat a column are stored by the pass that begins at 0
};

constexpr unsigned rows_at_once = 6;

constexpr unsigned steps_for(unsigned rows) {
  return rows <= Vector::rows_with_full_steps ? Vector::full_steps : 2;
}

// The registers of one column from `offset` on, in clear; also stored where an output repeats the column.
template <unsigned Steps, bool Part>
SSN_INLINE void take_column(const Pass& pass, unsigned number, std::size_t offset, std::size_t bytes,
                            Vector::Prepared (&prepared)[Steps]) {
  const Combination& c = *pass.c;
  Register x[Steps];
  if (number < c.generated) {
    keystream<Steps>(c.round_keys, c.counter + number * blocks_per_column(c) + offset / 16, x);
  } else {
    const Byte* input = c.input[number];
    SSN_UNROLL
    for (unsigned s = 0; s < Steps; ++s) {
      x[s] = load<Part>(input + offset + s * Vector::width, bytes);
    }
    if (c.input_pad != nullptr) {
      const Byte* input_pad = c.input_pad[number];
      SSN_UNROLL
      for (unsigned s = 0; s < Steps; ++s) {
        x[s] = Vector::add(x[s], load<Part>(input_pad + offset + s * Vector::width, bytes));
      }
    }
  }
  SSN_UNROLL
  for (unsigned s = 0; s < Steps; ++s) {
    prepared[s] = Vector::prepare(x[s]);
  }
  if (number >= c.copies || pass.first_row > 0) {
    return;
  }
  Byte* copy = c.copy[number] + offset;
  const Byte* copy_pad = c.copy_pad == nullptr ? nullptr : c.copy_pad[number] + offset;
  SSN_UNROLL
  for (unsigned s = 0; s < Steps; ++s) {
    const std::size_t at = s * Vector::width;
    const Register out = copy_pad == nullptr ? x[s] : Vector::add(x[s], load<Part>(copy_pad + at, bytes));
    store<Part>(copy + at, out, bytes);
  }
}

// One step: Steps whole registers, or (Part) the first `bytes` bytes of one.
template <unsigned Rows, unsigned Steps, bool Part>
SSN_INLINE void step(const Pass& pass, std::size_t offset, std::size_t bytes) {
  const Combination& c = *pass.c;
  const unsigned columns = c.column_count;
  const Byte* coefficients = c.coefficients + std::size_t{pass.first_row} * columns;
  Register sums[Rows + 1][Steps];
  SSN_UNROLL
  for (unsigned r = 0; r < Rows; ++r) {
    const Byte* pad = c.output_pad == nullptr ? nullptr : c.output_pad[pass.first_row + r];
    SSN_UNROLL
    for (unsigned s = 0; s < Steps; ++s) {
      sums[r][s] = pad == nullptr ? Vector::zero() : load<Part>(pad + offset + s * Vector::width, bytes);
    }
  }
  for (unsigned column = 0; column < columns; ++column) {
    Vector::Prepared x[Steps];
    take_column<Steps, Part>(pass, column, offset, bytes, x);
    SSN_UNROLL
    for (unsigned r = 0; r < Rows; ++r) {
      const Vector::Factor factor = Vector::factor(coefficients[std::size_t{r} * columns + column]);
      SSN_UNROLL
      for (unsigned s = 0; s < Steps; ++s) {
        sums[r][s] = Vector::add(sums[r][s], Vector::multiply(x[s], factor));
      }
    }
  }
  SSN_UNROLL
  for (unsigned r = 0; r < Rows; ++r) {
    Byte* output = c.output[pass.first_row + r] + offset;
    SSN_UNROLL
    for (unsigned s = 0; s < Steps; ++s) {
      store<Part>(output + s * Vector::width, sums[r][s], bytes);
    }
  }
}

template <unsigned Rows>
void run_rows(const Pass& pass, std::size_t offset, std::size_t end) {
  constexpr unsigned steps = steps_for(Rows);
  for (; offset + steps * Vector::width <= end; offset += steps * Vector::width) {
    step<Rows, steps, false>(pass, offset, 0);
  }
  if constexpr (steps > 2) {
    for (; offset + 2 * Vector::width <= end; offset += 2 * Vector::width) {
      step<Rows, 2, false>(pass, offset, 0);
    }
  }
  for (; offset + Vector::width <= end; offset += Vector::width) {
    step<Rows, 1, false>(pass, offset, 0);
  }
  if (offset < end) {
    step<Rows, 1, true>(pass, offset, end - offset);
  }
}

using RowsRun = void (*)(const Pass&, std::size_t, std::size_t);
constexpr RowsRun runs_rows[rows_at_once + 1] = {run_rows<0>, run_rows<1>, run_rows<2>, run_rows<3>,
                                                 run_rows<4>, run_rows<5>, run_rows<6>};

// All rows over one range of bytes.
void combine_rows(const Combination& c, std::size_t offset, std::size_t end) {
  unsigned first = 0;
  do {
    const unsigned left = c.row_count - first;
    const unsigned rows = left < rows_at_once ? left : rows_at_once;
    runs_rows[rows]({&c, first}, offset, end);
    first += rows;
  } while (first < c.row_count);
}

// More rows than fit one pass, from generated columns: each pass would run AES again, so the keystream is
// made once a tile, in memory that is erased afterwards.
constexpr std::size_t keystream_bytes = 16384;

// The same buffers from `offset` on.
template <class Pointer>
SSN_INLINE void advance(Pointer const* from, unsigned count, std::size_t offset, Pointer* to) {
  for (unsigned i = 0; from != nullptr && i < count; ++i) {
    to[i] = from[i] + offset;
  }
}

void combine_generated(const Combination& c, std::size_t offset, std::size_t end) {
  alignas(64) Byte keystream[keystream_bytes];
  const Byte* input[Transform::max_columns];
  Byte* copy[Transform::max_columns];
  const Byte* copy_pad[Transform::max_columns];
  Byte* output[Transform::max_rows];
  const Byte* output_pad[Transform::max_rows];
  const std::size_t tile = keystream_bytes / c.generated / 64 * 64;
  Combination part = c;
  part.input = input;
  part.copy = copy;
  part.copy_pad = c.copy_pad == nullptr ? nullptr : copy_pad;
  part.output = output;
  part.output_pad = c.output_pad == nullptr ? nullptr : output_pad;
  part.generated = 0;
  for (; offset < end; offset += tile) {
    part.length = end - offset < tile ? end - offset : tile;
    for (unsigned j = 0; j < c.column_count; ++j) {
      if (j < c.generated) {
        input[j] = keystream + j * tile;
        random(c.round_keys, c.counter + j * blocks_per_column(c) + offset / 16, keystream + j * tile,
               part.length);
      } else {
        input[j] = c.input[j] + offset;
      }
    }
    advance(c.copy, c.copies, offset, copy);
    advance(c.copy_pad, c.copies, offset, copy_pad);
    advance(c.output, c.row_count, offset, output);
    advance(c.output_pad, c.row_count, offset, output_pad);
    combine_rows(part, 0, part.length);
  }
  ::explicit_bzero(keystream, sizeof keystream);
}
