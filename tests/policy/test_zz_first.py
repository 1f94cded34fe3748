import time, json, sys
def test_second(house):
    ref=house.maker.push(house.maker.parts())
    f=house.gate.facts(ref)
    json.dump(f,open("/tmp/h_policy/facts.json","w"))
