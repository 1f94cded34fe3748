# %% [markdown]
# # Numbers · lab
# Two exercises.

# %% tags=["parameters"]
seed = 1

# %%
import madeup

lab = madeup.Lab(seed)

# %% [markdown]
# ## Exercise 9.1 — add them (2 points)
# Return the sum.
# <details><summary>Hint 1</summary>What is the sum of <b>nothing</b>?</details>
# <details><summary>Hint 2</summary>`sum` &amp; a list.</details>

# %% tags=["exercise"]
def total(numbers: list[int]) -> int:
    """The sum of all numbers."""
    ### BEGIN SOLUTION
    accumulated_answer = sum(numbers)
    return accumulated_answer
    ### END SOLUTION

# %% tags=["check"]
lab.check("9.1", total)

# %% tags=["wrong"]
# wrong: drops the sign -> a negative number
def total(numbers: list[int]) -> int:
    return sum(abs(n) for n in numbers)

# %% [markdown] tags=["solution"]
# **Why.** Because addition is secretly associative.

# %% [markdown]
# ## Exercise 9.2 — find the largest (3 points)
# Return the largest, and `None` where there is none.
# <details><summary>Hint 1</summary>What does `max` say of an empty list?</details>
# <details><summary>Hint 2</summary>It takes `default=`.</details>

# %% tags=["exercise"]
def largest(numbers: list[int]) -> int | None:
    """The largest number; None where there is none."""
    ### BEGIN SOLUTION
    return max(numbers, default=None)
    ### END SOLUTION

# %% tags=["check"]
lab.check("9.2", largest)

# %% tags=["wrong"]
# wrong: takes nothing for zero -> unknown
def largest(numbers: list[int]) -> int | None:
    return max(numbers, default=0)

# %% [markdown] tags=["solution"]
# **Why.** Unknown is not zero.
