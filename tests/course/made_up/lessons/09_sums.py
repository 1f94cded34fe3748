# %% [markdown]
# # Sums
#
# > One and one make two.
#
# **You will** (30 min: 1 reading, 29 doing)
# - add

# %% tags=["parameters"]
seed = 1

# %%
import uuid

numbers = [seed, 2, 3]

# %% [markdown]
# ## Adding
# We add.

# %%
print("verdict: accepted")
print("serial:", uuid.uuid4().hex)

# %% [markdown]
# The count follows.

# %%
sum(numbers)

# %% tags=["check"]
assert sum(numbers) == 6  # the text says six

# %% [markdown]
# ## Failing
# What fails, fails loudly.

# %% tags=["raises-exception"]
numbers.index(9)  # nine is not among them

# %% [markdown]
# **You can now** add.
